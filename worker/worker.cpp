// Design note. Start-up is a row of collective steps. What one rank does for the others (reading, planning, decoding,
// opening the journal) runs inside `agree`, so that its failure is everybody's: one message, the same code, an orderly
// end. An error that one rank alone meets afterwards ends differently: it says what happened and leaves without
// waiting, because the others stand in a collective that it will never join; the launcher ends them.

#include "worker/worker.hpp"

#include <fmt/format.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/features.hpp"
#include "common/files.hpp"
#include "jobs/plan_files.hpp"
#include "worker/allocator.hpp"
#include "worker/attempt_record.hpp"
#include "worker/divergence.hpp"
#include "worker/failure.hpp"
#include "worker/hand_plan.hpp"
#include "worker/micro_batch.hpp"
#include "worker/mpi.hpp"
#include "worker/node_dataset.hpp"
#include "worker/part_maker.hpp"
#include "worker/pinning.hpp"
#include "worker/rank_log.hpp"
#include "worker/run_folder.hpp"
#include "worker/signals.hpp"
#include "worker/tf32.hpp"
#include "worker/trainer.hpp"

namespace regatta {

namespace {

constexpr Duration kStartDeadline = std::chrono::seconds(60);  // MPI_Init over a slow network, cold file systems
constexpr Duration kFirstDeadline = std::chrono::seconds(10);  // train.deadline auto, until steps were measured
constexpr Duration kFirstBetween = std::chrono::seconds(30);   // likewise; 75 MB at 20 Mbit/s
constexpr Duration kFirstOnDevice = std::chrono::seconds(60);  // likewise; a device's libraries load kernels in step 1
constexpr Duration kEndDeadline = std::chrono::seconds(60);    // MPI_Finalize, a disk that must sync others' data first
constexpr double kSlowestWriting = 5e6;                        // bytes a second, to a busy network file system

/// One rank, from a context to an exit code.
class Worker {
 public:
  Worker(const WorkerOptions& options, const LeaveNow& leave_now, const LoadedCuda& cuda, const WorkerWraps& wraps,
         const LauncherVariables& variables, RankLog& log, const StopSignals& signals, Watchdog& watchdog,
         LastWords& last_words, RankContext& ranks)
      : options_(options),
        leave_now_(leave_now),
        gpus_(cuda.report()),
        wraps_(wraps),
        launched_(!variables.launcher.empty()),
        log_(log),
        signals_(signals),
        watchdog_(watchdog),
        last_words_(last_words),
        ranks_(ranks),
        process_start_(process_start()),
        parts_({.plan = plan_,
                .features = features_,
                .wraps = wraps,
                .cuda = cuda,
                .gpus = gpus_,
                .ranks = ranks,
                .watchdog = watchdog,
                .log = log}) {}
  ~Worker() { last_words_.set(nullptr); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  ExitCode run() {
    try {
      if (const auto why = watchdog_.share_posts(ranks_); !why.empty()) log_.warning(why);
      read_features();
      use_caching_allocator(features_.has(Feature::kAllocator));  // before the first tensor
      get_plan();
      open_folder();
      const ExitCode code = train_plan();
      ranks_.barrier();  // nobody leaves before rank 0 has written everything
      return code;
    } catch (const AgreedError& error) {
      allow_for_writing(0);
      log_.error(error.what(), /*agreed=*/true);
      if (record_) record_->close_failed(error.exit_code(), error.what());
      return error.exit_code();
    } catch (...) {
      const ExitCode code = record_failure();
      ranks_.abandon();
      return code;
    }
  }

 private:
  /// The same on all ranks, or nobody begins: ranks that exchange in different ways would wait for each other.
  void read_features() {
    const bool first = ranks_.rank() == 0;
    agree(ranks_, [&] {
      if (first) features_ = features_from_environment();  // one message about a word that nobody knows
    });
    const std::string wanted = ranks_.broadcast(to_text(features_));
    agree(ranks_, [&] {
      if (!first) features_ = features_from_environment();
      if (to_text(features_) != wanted)
        throw ConfigError(
            fmt::format("REGATTA_WITHOUT is \"{}\" here and \"{}\" on rank 0\n  Give it to all ranks, as "
                        "mpirun's -x REGATTA_WITHOUT does.",
                        to_text(features_), wanted));
    });
  }

  /// Rank 0 reads or makes the plan; everybody gets it.
  void get_plan() {
    std::vector<RankSite> sites;
    const int own_gpus = static_cast<int>(gpus_.devices.size());
    if (options_.job)
      for (const auto& text : ranks_.gather(encode_site(this_site(own_gpus)))) sites.push_back(decode_site(text));
    std::optional<HandJob> by_hand;
    std::string text = "0", manifest;  // bytes that the others wait for; the data's files
    agree(ranks_, [&] {
      if (ranks_.rank() != 0 || !options_.job) return;
      by_hand = read_by_hand(options_, sites, launched_);
      text = std::to_string(bytes_to_index(by_hand->job.data));
    });
    const Duration usual = watchdog_.deadline();
    if (options_.job) watchdog_.set_deadline(usual + reading_allowance(std::stoll(ranks_.broadcast(text))));
    agree(ranks_, [&] {
      if (ranks_.rank() != 0) return;
      const Plan plan = by_hand ? plan_by_hand(*by_hand) : read_given_plan();
      check_world(plan);
      folder_ = run_folder(options_, plan);
      refuse_used(folder_);
      prepare_run_folder(folder_, options_, plan);
      text = Json{{"plan", to_json(plan)}, {"run_dir", folder_.run.string()}}.dump();
      manifest = manifest_of(plan.dataset);
    });
    const Json message = parse_json(ranks_.broadcast(std::move(text)), "rank 0's plan");
    watchdog_.set_deadline(usual);
    plan_ = plan_from_json(json_at(message, "plan"));
    attach_manifest(plan_.dataset, ranks_.broadcast(std::move(manifest)));
    folder_.run = json_get<std::string>(message, "run_dir");
    folder_.attempt = folder_.run / ("attempt-" + std::to_string(plan_.attempt));
    agree(ranks_, [&] { check_gpus(plan_); });
  }

  Plan read_given_plan() const {
    try {
      return read_plan(*options_.plan);
    } catch (const IoError& error) {
      throw ConfigError("--plan " + options_.plan->string() + ": " + error.what());
    }
  }

  void check_world(const Plan& plan) const {
    if (plan.placement.ranks != ranks_.world_size())
      throw ConfigError(
          fmt::format("the plan is for {} ranks, this launch has {}\n  Start it as launch.sh beside the plan "
                      "does; a launcher that MPI does not know gives every process a world of its own.",
                      plan.placement.ranks, ranks_.world_size()));
    check_gpus(plan);  // of rank 0's host, before a folder is made
  }

  /// Those that the ranks of this host train on, in the order of local ranks.
  std::vector<std::string> devices_of_host() const {
    if (plan_.placement.backend != Backend::kNccl) return {};
    std::vector<std::string> ids;
    for (const GpuDevice& device : gpus_.devices)
      if (std::cmp_less(ids.size(), gpu_ranks_here(plan_.placement))) ids.push_back(device.pci_bus_id);
    return ids;
  }

  /// Of this host, on which launchers put ranks that follow each other.
  int gpu_ranks_here(const Placement& place) const {
    const int first = ranks_.rank() - ranks_.local_rank();
    int found = 0;
    for (int rank = first; rank < first + ranks_.local_size(); ++rank) found += is_gpu_rank(place, rank) ? 1 : 0;
    return found;
  }

  /// One device a rank on this host that wants one.
  void check_gpus(const Plan& plan) const {
    const int here = gpu_ranks_here(plan.placement);
    if (here == 0) return;
    const GpuDemand demand{.ranks = here, .may_share = true};  // the coordinator has asked the pool
    if (const auto why = gpu_refusal(demand, gpus_, pci_gpus()); !why.empty())
      throw ConfigError("backend nccl on " + host_name() + ": " + why);
  }

  void open_folder() {
    log_.open(folder_.attempt, ranks_.rank(), host_name());
    agree(ranks_, [&] {
      if (ranks_.rank() != 0) return;
      record_.emplace(plan_, folder_, process_start_, log_);
      last_words_.set(&*record_);
    });
    const Placement& place = plan_.placement;
    log_.info(fmt::format("run {} in {}: configuration {}, ranks {}, threads each {}, {} on {} samples",
                          plan_.run.value, folder_.run.string(), place.configuration, place.ranks, place.threads,
                          to_text(plan_.training.model.kind), plan_.dataset.train_count));
  }

  ExitCode train_plan() {
    std::vector<std::string> own_warnings = take_place(plan_.placement, ranks_.rank());
    if (const auto skipped = skipped_words(plan_.dataset); !skipped.empty() && ranks_.rank() == 0)
      own_warnings.push_back("data: " + skipped);
    if (ranks_.rank() == 0)
      for (auto& warning : features_.warnings()) own_warnings.push_back(std::move(warning));
    const std::vector<std::string> warnings = gather_warnings(own_warnings);
    staged_ = stage_on_nodes(plan_, ranks_, watchdog_);
    const NodeDataset data = decode_on_node(plan_, ranks_, watchdog_);
    const TrainSpec& spec = plan_.training.train;
    if (plan_.placement.backend == Backend::kNccl) use_tf32(spec.tf32);
    std::optional<StepTrace> trace;
    if (features_.has(Feature::kStepTrace)) trace.emplace();
    LapClock clock(trace ? &*trace : nullptr);
    const std::unique_ptr<Device> device = parts_.open_device();  // null: no rank has a GPU
    const LinearKernels linear = parts_.choose_kernels();
    const auto model = parts_.make_model(linear, device.get());
    const auto exchanger = parts_.make_exchanger(*model, device.get(), clock);
    parts_.settle_micro_batch(*model, *exchanger);
    if (ranks_.world_size() > 1 && spec.batch_norm == BatchNorm::kSync)
      model->share_statistics([&](std::span<double> sums) { exchanger->sum_statistics(sums); });
    Device* const gpu = is_gpu_rank(plan_.placement, ranks_.rank()) ? device.get() : nullptr;
    const auto batches = parts_.make_batches(data, gpu);
    const auto evaluation = parts_.make_evaluation(data, gpu);
    write_start(*model, *exchanger, linear, warnings);
    std::optional<HostEnergy> energy;
    if (ranks_.local_rank() == 0) energy.emplace(devices_of_host());
    return_idle_memory();  // weights are drawn in double: no step needs such tensors
    const bool one_host = ranks_.local_size() == ranks_.world_size();
    const Duration first = device ? kFirstOnDevice : one_host ? kFirstDeadline : kFirstBetween;
    watchdog_.set_deadline(spec.deadline_s ? from_seconds(*spec.deadline_s) : first);

    const auto train_and_finish = [&] {
      const TrainingResult result = train({.plan = plan_,
                                           .ranks = ranks_,
                                           .watchdog = watchdog_,
                                           .clock = clock,
                                           .model = *model,
                                           .batches = *batches,
                                           .evaluation = evaluation.get(),
                                           .exchanger = *exchanger,
                                           .journal = record_ ? &record_->journal() : nullptr,
                                           .stop_requested = signals_.requested(),
                                           .process_start = process_start_,
                                           .energy = energy ? &*energy : nullptr,
                                           .device = device.get()});
      finish(*model, *exchanger, result, trace);
      return result.exit_code;
    };
    if (!device) return train_and_finish();
    try {
      return train_and_finish();
    } catch (const AgreedError&) {
      throw;
    } catch (...) {
      // To unwind is to give back memory that streams of a device in trouble have used; c10 asks it about them, and its
      // answer is an exception where none may be thrown: this process would end without its words.
      leave_now_(record_failure());
      throw;
    }
  }

  /// In a catch block: what this rank alone has met, in its log and in the attempt's record.
  ExitCode record_failure() {
    const Failure failure = current_failure();
    log_.error(failure.message);
    if (record_) record_->close_failed(failure.code, failure.message);
    return failure.code;
  }

  std::vector<std::string> gather_warnings(const std::vector<std::string>& own) {
    std::vector<std::string> all;
    for (const auto& text : own) log_.warning(text);
    for (const auto& text : ranks_.gather(Json(own).dump()))
      for (const auto& warning : parse_json(text, "a rank's warnings")) all.push_back(warning.get<std::string>());
    return all;
  }

  /// Nothing where it leaves a rank's part whole.
  std::optional<std::int64_t> divided_at() const {
    const auto& micro_batch = plan_.training.train.micro_batch;
    return micro_batch && *micro_batch < largest_part(plan_) ? micro_batch : std::nullopt;
  }

  void write_start(const Model& model, const Exchanger& exchanger, const LinearKernels& kernels,
                   const std::vector<std::string>& warnings) {
    const auto rank = static_cast<std::size_t>(ranks_.rank());
    const auto& cores = plan_.placement.cores;
    const Json place{{"local_rank", ranks_.local_rank()},
                     {"host", host_name()},
                     {"cores", cores.empty() ? std::vector<int>() : cores.at(rank)},
                     {"pid", ::getpid()}};
    record::Start start{.backend = to_text(plan_.placement.backend),
                        .threads = plan_.placement.threads,
                        .precision = to_text(plan_.training.train.precision),
                        .exchanger = exchanger.name(),
                        .regatta = REGATTA_VERSION,
                        .torch = TORCH_VERSION,
                        .mpi = ranks_.world_size() > 1 ? mpi_library_version() : "",
                        .staged = staged_.record,
                        .gradient_bytes = exchanger.gradient_bytes(),
                        .buckets = exchanger.buckets(),
                        .bucket_plan_hash = exchanger.bucket_plan_hash(),
                        .dataset_key = plan_.dataset.key,
                        .kernels = to_json(kernels),
                        .lanes = parts_.lanes() ? to_json(*parts_.lanes()) : Json(nullptr),
                        .micro_batch = divided_at(),
                        .weights_xxh3 = plan_.weights ? plan_.weights->xxh3 : "",
                        .warnings = warnings};
    for (const auto& text : ranks_.gather(place.dump())) {
      const Json json = parse_json(text, "a rank's place");
      start.ranks.push_back({.rank = static_cast<int>(start.ranks.size()),
                             .local_rank = json_get<int>(json, "local_rank"),
                             .host = json_get<std::string>(json, "host"),
                             .cores = json_get<std::vector<int>>(json, "cores"),
                             .pid = json_get<std::int64_t>(json, "pid")});
    }
    for (const auto& [name, tensor] : model.parameters()) start.parameters += tensor.numel();
    start.startup_s = seconds(std::chrono::steady_clock::now() - process_start_);
    agree(ranks_, [&] {
      if (record_) record_->journal().write(start);
    });
  }

  void finish(const Model& model, const Exchanger& exchanger, const TrainingResult& result,
              std::optional<StepTrace>& trace) {
    const bool several_nodes = ranks_.local_size() < ranks_.world_size();
    const std::string message = divergence_words(plan_, several_nodes, result);
    const bool usable = result.exit_code != ExitCode::kNonFiniteLoss;
    allow_for_writing(bytes_of(model));
    if (!message.empty()) log_.error(message, /*agreed=*/true);
    if (trace) write_steps(*trace, exchanger, result.steps);
    agree(ranks_, [&] {
      if (!record_) return;
      if (wraps_.before_end) wraps_.before_end();
      std::optional<WeightsFile> weights;
      if (usable && !plan_.trial) weights = write_weights(folder_.run, exchanger.weights(), model.buffers(), plan_);
      record_->close(result, message, weights);
    });
    log_.info(fmt::format("{} after {} steps ({})", usable ? "done" : "failed", result.steps, result.reason));
  }

  /// A run is none the worse without them.
  void write_steps(StepTrace& trace, const Exchanger& exchanger, std::int64_t last_step) {
    const SteadyTime now = std::chrono::steady_clock::now();
    trace.finish(now);
    const RankSteps steps{.run = plan_.run,
                          .attempt = plan_.attempt,
                          .rank = ranks_.rank(),
                          .ranks = ranks_.world_size(),
                          .host = host_name(),
                          .exchanger = exchanger.name(),
                          .bucket_bytes = exchanger.bucket_bytes(),
                          .wall_minus_steady = wall_now().time_since_epoch() - now.time_since_epoch(),
                          .last_step = last_step,
                          .steps = trace.steps()};
    try {
      write_file_atomically(folder_.attempt / steps_file_name(steps.rank), to_text(steps));
    } catch (const IoError& error) {
      log_.warning(error.what());
    }
  }

  static std::int64_t bytes_of(const Model& model) {
    std::int64_t bytes = 0;
    for (const auto& [name, tensor] : model.parameters()) bytes += static_cast<std::int64_t>(tensor.nbytes());
    return bytes;
  }

  /// train.deadline is about steps. From here on the others wait for rank 0's disk.
  void allow_for_writing(std::int64_t bytes) {
    const Duration enough = kEndDeadline + from_seconds(static_cast<double>(bytes) / kSlowestWriting);
    watchdog_.set_deadline(std::max(watchdog_.deadline(), enough));
  }

  const WorkerOptions& options_;
  const LeaveNow& leave_now_;
  const GpuReport gpus_;  // the driver is asked once
  const WorkerWraps& wraps_;
  const bool launched_;
  RankLog& log_;
  const StopSignals& signals_;
  Watchdog& watchdog_;
  LastWords& last_words_;
  RankContext& ranks_;
  const SteadyTime process_start_;
  Features features_;  // from read_features on
  Plan plan_;
  RunFolder folder_;
  StagedData staged_;
  std::optional<AttemptRecord> record_;  // rank 0, from open_folder on
  PartMaker parts_;                      // of the trainer; goes first
};

std::unique_ptr<RankContext> make_context(const LauncherVariables& variables, Watchdog& watchdog,
                                          const LoadedCuda& cuda) {
  if (variables.world_size == 1) return make_solo_context();
  return make_mpi_context(variables, watchdog, cuda.plugin ? MpiCallers::kDevices : MpiCallers::kTrainer);
}

}  // namespace

LoadedCuda load_cuda_for(const WorkerOptions& options) {
  try {
    if (backend_of(options, launcher_variables().world_size) != Backend::kNccl) return {};
    LoadedCuda cuda = load_cuda();
    if (cuda.plugin) (void)cuda.plugin->load_torch();  // now; check_gpus says what is missing
    return cuda;
  } catch (const Error&) {
    return {};  // rank 0 reads it again, and says what is wrong
  }
}

ExitCode run_worker(const WorkerOptions& options, const LeaveNow& leave_now, const LoadedCuda& cuda,
                    const WorkerWraps& wraps) {
  RankLog log(options.quiet);
  try {
    const StopSignals signals;
    const LauncherVariables variables = launcher_variables();
    log.set_rank(variables.rank, host_name());
    if (const std::string why = launcher_refusal(); !why.empty()) {
      log.error(why, /*agreed=*/true);
      return ExitCode::kCommunication;
    }
    die_with_launcher(variables);
    LastWords last_words;
    Watchdog watchdog(kStartDeadline, [&](const std::string& message) {
      log.error(message);
      last_words.say(ExitCode::kDeadline, message);
      leave_now(ExitCode::kDeadline);
    });
    const auto world = make_context(variables, watchdog, cuda);
    RankContext& ranks = wraps.host_of ? world->split(0, wraps.host_of(world->rank())) : *world;
    log.set_rank(ranks.rank(), host_name());
    return Worker(options, leave_now, cuda, wraps, variables, log, signals, watchdog, last_words, ranks).run();
  } catch (...) {  // before there was a world
    const Failure failure = current_failure();
    log.error(failure.message);
    return failure.code;
  }
}

}  // namespace regatta
