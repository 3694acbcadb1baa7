#include "worker/node_map.hpp"

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "worker/rank_context.hpp"

namespace regatta {

NodeMap node_map(RankContext& ranks) {
  int* const first = reinterpret_cast<int*>(ranks.node_shared(sizeof(int)));
  if (ranks.local_rank() == 0) *first = ranks.rank();
  ranks.node_barrier();
  std::string joined;
  for (const std::string& text : ranks.gather(std::to_string(*first))) joined += text + " ";
  std::istringstream in(ranks.broadcast(joined));
  std::vector<int> firsts;  // rank 0 of its node, by world rank
  for (int value = 0; in >> value;) firsts.push_back(value);
  NodeMap map;
  for (int rank = 0; rank < ranks.world_size(); ++rank) {
    const int leader = firsts.at(static_cast<std::size_t>(rank));
    if (leader == rank) map.ranks.emplace_back();
    const auto node = std::find_if(map.ranks.begin(), map.ranks.end(),
                                   [&](const auto& on_node) { return on_node.empty() || on_node[0] == leader; });
    node->push_back(rank);
    if (leader == *first) map.node = static_cast<std::size_t>(node - map.ranks.begin());
  }
  return map;
}

}  // namespace regatta
