#pragma once
// From runs to rows and a verdict. Pure functions of the state; METRICS.md (cluster/) has the formulas.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/energy.hpp"
#include "coordinator/state.hpp"
#include "coordinator/statistics.hpp"

namespace regatta {

/// One configuration with all its repeats.
struct ComparisonRow {
  std::string configuration;  ///< unique among the rows: "NAME@ID" where two comparisons share a name
  std::string pool, backend, precision;
  std::string status;  ///< the worst of the repeats'
  std::string reason;  ///< why it did not end as done; may be empty
  int nodes = 1, ranks = 1, threads = 1;
  int cpu_ranks = 0;  ///< of `ranks`, on cores beside those on GPUs; `threads` are theirs then
  int epochs = 0;     ///< complete ones, of the repeat that has the fewest
  int repeats = 0;
  Interval seconds_per_epoch, usd_per_epoch;               ///< mean is NaN where nothing is known
  std::optional<NanoUsd> usd_total;                        ///< the bills of all repeats
  std::vector<std::pair<std::string, NanoUsd>> usd_parts;  ///< sum to usd_total; empty without it
  double samples_per_s = 0;                                ///< NaN without a complete epoch
  std::optional<double> test_accuracy, energy_j_per_epoch;
  std::optional<double> queue_s;       ///< waited for nodes, all repeats; not billed. Nothing: there was no queue
  std::optional<EnergyFigure> energy;  ///< how energy_j_per_epoch came about; its value is the same
  PhaseSeconds seconds;                ///< mean per epoch
  std::optional<Price> price;
  bool contended = false;
  std::string shares, slow_ranks;  ///< of the last repeat: their history, and whether the slow ones paid; may be empty
  std::string stragglers;          ///< whom the others waited for in the counted epochs; may be empty
  std::optional<Choice> choice;    ///< of the first repeat: how `auto` was decided
};

enum class AgreementResult { kAgree, kDiffer, kNotComparable };
const char* to_text(AgreementResult);  ///< agree | differ | not_comparable

struct Agreement {
  AgreementResult result = AgreementResult::kNotComparable;
  std::optional<double> early_loss_rel;  ///< largest |difference| / |first configuration's| over the first 4 steps
  std::optional<double> accuracy_se;     ///< difference of final accuracies in standard errors, the largest
  std::string detail;                    ///< which row, which key or number
};

struct BreakEven {
  std::string pool;           ///< the other pool, whose price would have to fall
  NanoUsd usd_per_node_hour;  ///< the lowest price of it at which the cheapest is still cheapest
  std::string sentence;
};

struct Verdict {
  std::string cheapest, fastest;  ///< empty: no clear winner
  std::string sentence;
  std::string confidence;           ///< high | medium | low | none; METRICS.md says when
  std::vector<std::string> doubts;  ///< what keeps confidence from being higher
  Agreement agreement;
  std::optional<BreakEven> break_even;
};

struct Comparison {
  std::vector<std::string> ids;  ///< comparison or run ids it is made of
  std::string job_name;
  std::vector<ComparisonRow> rows;
  Verdict verdict;
};

/// `runs` in the order of the job file's configurations; repeats of one configuration make one row.
/// `reprice`: POOL -> price, applied to recorded seconds; the ledger is not touched.
Comparison compare(const std::vector<const RunState*>& runs, const std::map<std::string, NanoUsd>& reprice = {});

/// Agreement of every finished run with the first finished configuration's.
Agreement agreement(const std::vector<const RunState*>& runs);

Json to_json(const Comparison&);
/// RFC 4180, one line a row under a line of names; empty fields for what is not known.
std::string to_csv(const Comparison&);
std::string to_markdown(const Comparison&);
/// For a terminal: aligned columns, verdict below; `colour` off under NO_COLOR or without a tty.
std::string to_table(const Comparison&, bool colour);

}  // namespace regatta
