#include "common/json.hpp"

namespace regatta {

namespace {

constexpr int kDeepest = 64;  // our own go down to 6; whoever prints or compares a document does it recursively

/// Counts brackets outside of strings; whether they match is the parser's business.
bool is_too_deep(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '\\')
      ++i;
    else if (c == '"')
      quoted = !quoted;
    else if (!quoted && (c == '[' || c == '{') && ++depth > kDeepest)
      return true;
    else if (!quoted && (c == ']' || c == '}'))
      --depth;
  }
  return false;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  if (is_too_deep(text))
    throw IoError(where + ": expected at most " + std::to_string(kDeepest) + " levels of brackets, found more");
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    throw IoError(where + ": not JSON: " + error.what());
  }
}

const Json& json_at(const Json& json, const char* key) {
  if (!json.is_object()) throw IoError(std::string(key) + ": expected inside an object, found " + json.type_name());
  const auto found = json.find(key);
  if (found == json.end()) throw IoError(std::string("missing key ") + key);
  return *found;
}

void json_bad(const std::string& key, const std::string& expected, const std::string& found) {
  throw IoError(key + ": expected " + expected + ", found " + found);
}

NanoUsd json_usd(const Json& json, const char* key) {
  const auto text = json_get<std::string>(json, key);
  const auto amount = parse_usd(text);
  if (!amount) throw IoError(std::string(key) + ": expected a decimal amount in USD, found \"" + text + "\"");
  return *amount;
}

NanoUsd json_usd(const Json& json, const char* key, NanoUsd least, NanoUsd most) {
  const NanoUsd amount = json_usd(json, key);
  if (amount < least || amount > most)
    json_bad(key, to_decimal(least) + " to " + to_decimal(most) + " USD", to_decimal(amount));
  return amount;
}

double json_seconds(const Json& json, const char* key) {
  const auto value = json_get<double>(json, key);
  if (!(value >= 0 && value <= kLongestSeconds)) json_bad(key, "seconds from 0 to 30 years", json_at(json, key).dump());
  return value;
}

}  // namespace regatta
