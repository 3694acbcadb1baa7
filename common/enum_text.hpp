#pragma once
// One table an enum: each value beside its word in files, for both directions.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/error.hpp"
#include "common/json.hpp"

namespace regatta {

template <class E, std::size_t N>
struct EnumText {
  std::array<std::pair<E, const char*>, N> words;

  constexpr const char* text(E value) const {
    for (const auto& [known, word] : words)
      if (known == value) return word;
    ensure_failed("known enum value", __FILE__, __LINE__, "an enum value without a word");
  }
  constexpr std::optional<E> find(std::string_view text) const {
    for (const auto& [known, word] : words)
      if (text == word) return known;
    return {};
  }
  /// "mpi, nccl", for messages.
  std::string known() const {
    std::string list;
    for (const auto& entry : words) list += (list.empty() ? "" : ", ") + std::string(entry.second);
    return list;
  }
  /// Throws IoError naming the key, what was found and what is known.
  E from_json(const Json& json, const char* key) const {
    const auto word = json_get<std::string>(json, key);
    const auto value = find(word);
    if (!value) throw IoError(std::string(key) + ": expected one of " + known() + ", found \"" + word + "\"");
    return *value;
  }
};

}  // namespace regatta
