#include "run_files.hpp"

#include "jobs/spec_reader.hpp"

namespace regatta::test {

namespace {

constexpr const char* kJob = R"(
name: mnist-cnn
model: {kind: mlp, hidden: [16]}
data: {format: synthetic, samples: 640, shape: [1, 28, 28], classes: 10}
train: {batch: 128, optimizer: {kind: sgd, lr: 0.05}}
stop: {epochs: 2}
configurations:
  - {name: one-core, pool: here, ranks: 1}
  - {name: two-cores, pool: here, ranks: 2}
)";

}  // namespace

Plan sample_plan(const std::string& run, int ranks) {
  const JobSpec job = read_job_text(kJob, "job.yaml", "/tmp");
  const auto& configuration = choose_configuration(job, {}, ranks);
  const Placement placement = place(job, configuration, {.name = "here", .cores_per_node = 2, .host_cores = {0, 1}});
  const DatasetIndex dataset = index_dataset(job.data, job.train.seed);
  return make_plan(job, configuration, placement, dataset, RunId{run}, {}, 1, 1, {});
}

void RunFiles::write_attempt(int attempt, const std::vector<std::pair<RecordBody, Timestamp>>& lines,
                             const std::string& torn) {
  const std::string folder = "run/attempt-" + std::to_string(attempt) + "/";
  Plan plan = plan_;
  plan.attempt = attempt;
  folder_.write(folder + "plan.json", to_json(plan).dump(2));
  std::string text;
  std::int64_t seq = 0;
  for (const auto& [body, at] : lines)
    text += to_json(JournalLine{.run_id = plan.run, .attempt = attempt, .seq = ++seq, .at = at, .body = body}).dump() +
            "\n";
  folder_.write(folder + "journal.jsonl", text + torn);
}

void RunFiles::write_result(int attempt) {
  folder_.write("run/result.json", Json({{"run_id", plan_.run.value}, {"attempt", attempt}}).dump());
}

}  // namespace regatta::test
