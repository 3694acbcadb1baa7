#pragma once
// What can be switched off in order to measure what it brings: REGATTA_WITHOUT=allocator,streaming_stores
//
// For measurements and for finding a fault, never for a normal run: a run with anything switched off says so in the
// warnings of its start line, so that its figures cannot be taken for the real ones.

#include <bitset>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace regatta {

enum class Feature {
  kNodeExchanger,  ///< ranks of a node exchange through shared memory; without: MPI_Allreduce, on any number of hosts
  kClusterExchanger,  ///< and each rank sends its slices to other nodes; without: MPI_Allreduce where there are several
  kStreamingStores,   ///< what another rank will read is written past the cache; without: plain stores
  kAllocator,         ///< large tensors come from a cache of huge pages; without: torch's allocator
  kOneDnnLinear,      ///< linear layers through oneDNN where that is faster; without: the BLAS
  kBf16Weights,       ///< precision bf16 trains on bf16 weights; without: casts of fp32 weights in each step
  kConvolutions,      ///< 3x3 convolutions of our own where they fit; without: oneDNN's through ATen
  kLstm,              ///< an lstm of our own in bfloat16; without: oneDNN's through ATen
  kStepTrace,         ///< each rank keeps the laps of some steps; without: none, so `show --steps` has nothing to say
};
constexpr std::size_t kFeatures = 9;
const char* to_text(Feature);  ///< as REGATTA_WITHOUT has it: node_exchanger

/// Which features are on; all of them unless said. A value.
class Features {
 public:
  bool has(Feature feature) const { return !off_[static_cast<std::size_t>(feature)]; }
  void switch_off(Feature feature) { off_.set(static_cast<std::size_t>(feature)); }
  std::vector<Feature> switched_off() const;  ///< in the order of the enum
  /// "without allocator: REGATTA_WITHOUT is set", one for each that is switched off.
  std::vector<std::string> warnings() const;
  bool operator==(const Features&) const = default;

 private:
  std::bitset<kFeatures> off_;
};

/// What parse_features reads: "allocator,bf16_weights", "" for all on.
std::string to_text(const Features&);

/// "allocator,bf16_weights": a comma list of features to switch off, spaces around words allowed; empty: none. Throws
/// ConfigError naming the unknown word and the known ones.
Features parse_features(std::string_view without);

/// From $REGATTA_WITHOUT; all on when it is not set. Throws as parse_features. `get` is getenv, or a table in tests.
Features features_from_environment(const std::function<const char*(const char*)>& get);
/// From this process's environment.
Features features_from_environment();

}  // namespace regatta
