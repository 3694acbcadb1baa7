#include "common/features.hpp"

#include <cstdlib>

#include "common/enum_text.hpp"
#include "common/error.hpp"
#include "common/findings.hpp"
#include "common/printable.hpp"

namespace regatta {

namespace {

constexpr const char* kVariable = "REGATTA_WITHOUT";

constexpr EnumText<Feature, kFeatures> kFeatureText{{{{Feature::kNodeExchanger, "node_exchanger"},
                                                      {Feature::kClusterExchanger, "cluster_exchanger"},
                                                      {Feature::kStreamingStores, "streaming_stores"},
                                                      {Feature::kAllocator, "allocator"},
                                                      {Feature::kOneDnnLinear, "onednn_linear"},
                                                      {Feature::kBf16Weights, "bf16_weights"},
                                                      {Feature::kConvolutions, "convolutions"},
                                                      {Feature::kLstm, "lstm"},
                                                      {Feature::kStepTrace, "step_trace"}}}};

std::string_view without_spaces(std::string_view word) {
  const auto begin = word.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return word.substr(begin, word.find_last_not_of(" \t") - begin + 1);
}

Feature feature_of(std::string_view word) {
  if (const auto feature = kFeatureText.find(word)) return *feature;
  std::vector<std::string> known;
  for (const auto& entry : kFeatureText.words) known.emplace_back(entry.second);
  const std::string shown = printable(word);
  throw ConfigError(std::string(kVariable) + ": unknown word \"" + shown + "\"\n  " + known_words_advice(shown, known));
}

}  // namespace

const char* to_text(Feature feature) {
  return kFeatureText.text(feature);
}

std::vector<Feature> Features::switched_off() const {
  std::vector<Feature> list;
  for (const auto& entry : kFeatureText.words)
    if (!has(entry.first)) list.push_back(entry.first);
  return list;
}

std::vector<std::string> Features::warnings() const {
  std::vector<std::string> texts;
  for (const Feature feature : switched_off())
    texts.push_back(std::string("without ") + to_text(feature) + ": " + kVariable + " is set");
  return texts;
}

std::string to_text(const Features& features) {
  std::string list;
  for (const Feature feature : features.switched_off())
    list += (list.empty() ? "" : ",") + std::string(to_text(feature));
  return list;
}

Features parse_features(std::string_view without) {
  Features features;
  if (without_spaces(without).empty()) return features;
  for (;;) {
    const auto comma = without.find(',');
    features.switch_off(feature_of(without_spaces(without.substr(0, comma))));
    if (comma == std::string_view::npos) return features;
    without.remove_prefix(comma + 1);
  }
}

Features features_from_environment(const std::function<const char*(const char*)>& get) {
  const char* without = get(kVariable);
  return without == nullptr ? Features() : parse_features(without);
}

Features features_from_environment() {
  return features_from_environment([](const char* name) { return std::getenv(name); });
}

}  // namespace regatta
