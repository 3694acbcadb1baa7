#include "coordinator/choice_words.hpp"

#include <fmt/format.h>

#include "coordinator/text_table.hpp"

namespace regatta {

namespace {

std::string table_of(const Choice& choice, std::int64_t batch) {
  TextTable table({{"ranks x threads"},
                   {"precision"},
                   {"ms/step", Align::kRight},
                   {"samples/s", Align::kRight},
                   {"loss", Align::kRight},
                   {"off fp32's", Align::kRight},
                   {"verdict"}});
  for (const TriedWay& tried : choice.tried) {
    const bool timed = tried.step_s.has_value();
    table.add({fmt::format("{} x {}", tried.way.ranks, tried.way.threads), to_text(tried.way.precision),
               timed ? fmt::format("{:.2f}", 1e3 * *tried.step_s) : "-",
               timed ? fmt::format("{:.0f}", static_cast<double>(batch) / *tried.step_s) : "-",
               tried.loss ? fmt::format("{:.4f}", *tried.loss) : "-",
               tried.loss_difference ? fmt::format("{:.2f} %", 100 * *tried.loss_difference) : "-", tried.verdict});
  }
  return table.text(false);
}

}  // namespace

std::string choice_sentence(const Choice& choice) {
  return to_text(choice.kept) + ": " + choice.reason;
}

std::string busy_words(double load, int cores) {
  if (load <= cores / 2.0) return "";
  return fmt::format(
      "this machine is busy (load {:.1f} on {} cores), so the fastest way may not be found; try again later with "
      "--retune",
      load, cores);
}

std::string choice_text(const std::string& row, const Choice& choice, std::int64_t batch) {
  if (choice.from_cache)
    return fmt::format("{}: chosen on {} (--retune tries again): {}", row, choice.measured_at.substr(0, 10),
                       choice_sentence(choice));
  return fmt::format("{}: {} ways to run it, tried in {:.1f} s, which are not billed\n{}{}: kept {}", row,
                     choice.tried.size(), choice.took_s, table_of(choice, batch), row, choice_sentence(choice));
}

}  // namespace regatta
