#include "coordinator/run_words.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "common/printable.hpp"
#include "common/shell.hpp"
#include "coordinator/choice_words.hpp"
#include "coordinator/figures.hpp"
#include "coordinator/lane_cache.hpp"
#include "coordinator/progress.hpp"
#include "coordinator/run_bill.hpp"
#include "coordinator/run_listing.hpp"
#include "coordinator/share_words.hpp"
#include "coordinator/straggler_words.hpp"

namespace regatta {

namespace {

std::string plural(int count, const char* noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string field(const char* name, const std::string& value, Style style = Style::kPlain, bool colour = false) {
  constexpr std::size_t kIndent = 15;  // where values begin: no line of a value looks like a field
  return value.empty() ? "" : fmt::format("{:<14} {}\n", name, painted(printable_lines(value, kIndent), style, colour));
}

std::string place(const RunState& run) {
  const std::string ranks =
      run.cpu_ranks == 0 ? plural(run.ranks, "rank")
                         : plural(run.ranks - run.cpu_ranks, "GPU rank") + " + " + plural(run.cpu_ranks, "CPU rank");
  return fmt::format("pool {}: {}, {} x {}, {}{}", run.pool, plural(run.nodes, "node"), ranks,
                     plural(run.threads, "thread"), run.backend, run.contended ? " (contended: never wins)" : "");
}

std::string chosen_when(const Choice& choice) {
  if (choice.from_cache) return fmt::format(" (tried on {})", choice.measured_at.substr(0, 10));
  return fmt::format(" ({} ways tried in {}, not billed)", choice.tried.size(), duration_text(choice.took_s));
}

std::string price_words(const Price& price) {
  return fmt::format("${} a node and hour, by {}, {}: {}{}", to_decimal(price.usd_per_node_hour),
                     to_text(price.billing), to_text(price.kind), price.source,
                     price.date.empty() ? "" : ", " + price.date);
}

std::string ranks_table(const record::Start& start, bool colour) {
  TextTable table({{"rank", Align::kRight}, {"host"}, {"cores"}, {"process", Align::kRight}});
  for (const auto& rank : start.ranks)
    table.add({std::to_string(rank.rank), rank.host,
               rank.cores.empty() ? "not pinned" : fmt::format("{}", fmt::join(rank.cores, ",")),
               std::to_string(rank.pid)});
  return "\n" + table.text(colour);
}

std::optional<double> joules_of(const record::Epoch& epoch) {
  if (!epoch.energy_j.is_object() || !epoch.energy_j.contains("value") || !epoch.energy_j["value"].is_number())
    return {};
  return epoch.energy_j["value"].get<double>();
}

/// Of the first epoch: "estimated within 50 %: 60 W idle, 220 W busy: vendor TDP".
std::string energy_words(const std::vector<record::Epoch>& epochs) {
  if (epochs.empty() || epochs.front().energy_j.is_null()) return "";
  try {
    const EnergyFigure energy = energy_from_json(epochs.front().energy_j);
    return fmt::format("{} within {:g} %: {}", to_text(energy.kind), energy.error_pct, energy.source);
  } catch (const IoError&) {
    return "";
  }
}

/// "rank 2 on n3: 1.93 s, $0.0000123".
std::string waited_for(const record::Stragglers& stragglers) {
  return fmt::format("{}: {}{}", straggler_names(stragglers), duration_text(stragglers.waited_s),
                     stragglers.cost ? ", " + dollars(*stragglers.cost) : "");
}

std::string epochs_table(const std::vector<record::Epoch>& epochs, bool colour) {
  const bool late = std::any_of(epochs.begin(), epochs.end(), [](const auto& epoch) { return !!epoch.stragglers; });
  TextTable table({{"epoch", Align::kRight},
                   {"train loss", Align::kRight},
                   {"test loss", Align::kRight},
                   {"accuracy", Align::kRight},
                   {"wall", Align::kRight},
                   {"samples/s", Align::kRight},
                   {"compute", Align::kRight},
                   {"exchange", Align::kRight},
                   {"waiting", Align::kRight},
                   {"evaluation", Align::kRight},
                   {"energy", Align::kRight},
                   {late ? "waited for" : ""}});
  for (const auto& epoch : epochs) {
    const double waiting = epoch.seconds[Phase::kDataWait] + epoch.seconds[Phase::kStragglerWait];
    table.add({fmt::format("{}{}", epoch.epoch, epoch.complete ? "" : " (cut)"),
               fmt::format("{:.4f}", epoch.train_loss), epoch.test_loss ? fmt::format("{:.4f}", *epoch.test_loss) : "-",
               percent_text(epoch.test_accuracy), duration_text(epoch.wall_s),
               fmt::format("{:.0f}", epoch.samples_per_s), duration_text(epoch.seconds[Phase::kCompute]),
               duration_text(epoch.seconds[Phase::kExchange]), duration_text(waiting),
               duration_text(epoch.seconds[Phase::kEvaluation]), energy_text(joules_of(epoch)),
               epoch.stragglers ? waited_for(*epoch.stragglers) : ""});
  }
  return "\n" + table.text(colour);
}

std::string cost_words(const record::Stop& stop) {
  return fmt::format("${} after step {}, where ${} had been spent; what follows is billed too",
                     to_decimal(stop.cost_decision->limit), stop.steps, to_decimal(stop.cost_decision->accrued));
}

std::string bytes_text(std::int64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

std::string memory_words(const record::Memory& memory) {
  return fmt::format("rank 0's large tensors: at most {}, held {}; blocks reused {}, made {}; given back {}",
                     bytes_text(memory.peak_bytes), bytes_text(memory.held_bytes), memory.blocks_reused,
                     memory.blocks_made, bytes_text(memory.returned_bytes));
}

std::string job_words(const JobState& job) {
  std::string words = job.id.empty() ? job.name + ": its number was never learnt" : job.id + ", " + job.state;
  if (!job.nodes.empty()) words += " on " + job.nodes;
  if (job.held_from) words += ", held from " + when_text(*job.held_from);
  if (job.held_to) words += " to " + when_text(*job.held_to) + " UTC";
  return words;
}

/// Nothing for what is not as this version writes it.
std::string staged_words(const Json& staged) {
  if (!staged.is_object()) return "";
  try {
    return fmt::format("{} a node in {}, {} copied to {} in {}", bytes_text(json_get<std::int64_t>(staged, "bytes")),
                       json_get<std::string>(staged, "folder"),
                       bytes_text(json_get<std::int64_t>(staged, "copied_bytes")),
                       plural(json_get<int>(staged, "nodes"), "node"), duration_text(json_seconds(staged, "seconds")));
  } catch (const IoError&) {
    return "";
  }
}

std::string attempt_page(const RunState& run, const AttemptState& attempt, bool colour) {
  std::string text = fmt::format("\n{}\n", painted(fmt::format("attempt {}", attempt.attempt), Style::kBold, colour));
  if (attempt.launched_at) text += field("launched", when_text(*attempt.launched_at) + " UTC");
  if (attempt.held_s) text += field("held", duration_text(*attempt.held_s));
  if (attempt.startup_s) text += field("startup", duration_text(*attempt.startup_s));
  if (attempt.hold_s) text += field("idle", duration_text(*attempt.hold_s) + ": held before and after its ranks");
  if (attempt.queue_s) text += field("queue", duration_text(*attempt.queue_s) + ", not billed");
  if (attempt.job) text += field("Slurm job", job_words(*attempt.job));
  std::string exit = attempt.exit_reason;
  if (attempt.exit_code) exit += fmt::format(" (exit code {})", *attempt.exit_code);
  if (!attempt.exit_message.empty()) exit += ": " + attempt.exit_message;
  for (const auto& fault : attempt.faults)
    if (attempt.exit_message.find(fault) == std::string::npos) text += field("noticed", fault);
  text += field("exit", exit);
  if (attempt.stop && attempt.stop->cost_decision) text += field("cost limit", cost_words(*attempt.stop));
  if (attempt.stop && attempt.stop->memory) text += field("memory", memory_words(*attempt.stop->memory));
  text += field("shares", worth_sentence(attempt, cpu_ranks_of(run)));
  std::vector<const record::Epoch*> epochs;
  for (const auto& epoch : attempt.epochs) epochs.push_back(&epoch);
  text += field("stragglers", straggler_sentence(epochs, run.price, holding_of(run)));
  text += field("command", shell_command(attempt.argv));
  if (attempt.start) {
    text += field("staged", staged_words(attempt.start->staged));
    text += field("between hosts", lane_words(run, *attempt.start));
    for (const auto& warning : attempt.start->warnings) text += field("warning", warning);
    text += field("energy", energy_words(attempt.epochs));
    text += ranks_table(*attempt.start, colour);
  }
  text += shares_table(attempt, colour);
  if (!attempt.epochs.empty()) text += epochs_table(attempt.epochs, colour);
  return text;
}

/// Exact, with the dots below each other.
std::string nine_decimals(NanoUsd amount) {
  constexpr std::int64_t kNanos = 1'000'000'000;
  return fmt::format("{}.{:09}", amount.nano / kNanos, amount.nano % kNanos);
}

std::string bill_table(const Bill& bill, bool colour) {
  TextTable table({{"bill"}, {"USD", Align::kRight}});
  for (const auto& [name, amount] : bill.parts)
    if (amount != NanoUsd{}) table.add({name, nine_decimals(amount)});
  table.add({{"total", Style::kBold}, {nine_decimals(bill.total), Style::kBold}});
  return "\n" + table.text(colour);
}

}  // namespace

std::string to_page(const RunState& run, bool colour) {
  std::string text = field("run", run.id.value);
  text += field("comparison", run.comparison ? run.comparison->value : "none: started by hand");
  text += field("job", job_name(run));
  text += field("configuration",
                run.repeat > 1 ? fmt::format("{}, repeat {}", run.configuration, run.repeat) : run.configuration);
  text += field("status", to_text(run.status) + (run.reason.empty() ? "" : ": " + run.reason), style_of(run.status),
                colour);
  text += field("where", place(run));
  text += field("precision", run.precision);
  if (run.choice) text += field("chosen", choice_sentence(*run.choice) + chosen_when(*run.choice));
  text += field("when", when_text(run.created_at) + " UTC");
  text += field("price", run.price ? price_words(*run.price) : "not known");
  text += field("folder", run.run_dir);
  for (const auto& attempt : run.attempts) text += attempt_page(run, attempt, colour);
  if (run.bill) text += bill_table(*run.bill, colour);
  return text;
}

std::string to_page(const ComparisonState& comparison, const State& state, bool colour) {
  return field("comparison", comparison.id.value) + field("job", comparison.job_name) +
         field("when", when_text(comparison.created_at) + " UTC") + "\n" +
         to_table({entry_of(comparison, state)}, colour) + "\nregatta compare " + comparison.id.value +
         " gives the verdict\n";
}

std::string ending_words(const RunState& run) {
  const std::string status = to_text(run.status);
  if (run.status != RunStatus::kDone) return run.reason.empty() ? status : status + ": " + run.reason;
  const auto& attempt = run.attempts.back();
  std::string words = fmt::format("{} in {}", status, clock_text(counted_time(attempt.held_s.value_or(0))));
  if (run.bill) words += ", " + dollars(run.bill->total);
  if (attempt.stop && attempt.stop->reason != "epochs") words += ", ended by " + attempt.stop->reason;
  return words;
}

}  // namespace regatta
