#include "coordinator/straggler_words.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "coordinator/figures.hpp"

namespace regatta {

namespace {

constexpr std::size_t kMostNames = 6;

template <class Items>
std::string listed(const Items& items) {
  const auto shown = std::min(items.size(), kMostNames);
  return fmt::format("{}{}", fmt::join(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                     items.size() > shown ? fmt::format(" and {} more", items.size() - shown) : "");
}

struct Waited {
  double seconds = 0;
  std::size_t epochs = 0;
  const record::Stragglers* stragglers = nullptr;
};

}  // namespace

std::string straggler_names(const record::Stragglers& stragglers) {
  return fmt::format("{} {} on {}", stragglers.ranks.size() == 1 ? "rank" : "ranks", listed(stragglers.ranks),
                     listed(stragglers.hosts));
}

std::string straggler_sentence(const std::vector<const record::Epoch*>& epochs, const std::optional<Price>& price,
                               const Holding& holding) {
  std::map<std::vector<int>, Waited> by_ranks;
  for (const record::Epoch* epoch : epochs) {
    if (!epoch->stragglers) continue;
    Waited& waited = by_ranks[epoch->stragglers->ranks];
    waited.seconds += epoch->stragglers->waited_s;
    ++waited.epochs;
    waited.stragglers = &*epoch->stragglers;
  }
  if (by_ranks.empty()) return "";
  const Waited& most = std::max_element(by_ranks.begin(), by_ranks.end(), [](const auto& a, const auto& b) {
                         return a.second.seconds < b.second.seconds;
                       })->second;
  const double waited_s = most.seconds / static_cast<double>(most.epochs);
  std::string text =
      fmt::format("the others waited {} an epoch for {}", duration_text(waited_s), straggler_names(*most.stragglers));
  if (most.epochs < epochs.size()) text += fmt::format(" (in {} of {} epochs)", most.epochs, epochs.size());
  if (!price || holding.ranks < 1) return text;
  const auto late = std::min<std::size_t>(most.stragglers->ranks.size(), static_cast<std::size_t>(holding.ranks));
  const double part = 1 - static_cast<double>(late) / holding.ranks;
  return text +
         fmt::format(", which cost {} an epoch", dollars(holding_cost(*price, holding, from_seconds(waited_s * part))));
}

}  // namespace regatta
