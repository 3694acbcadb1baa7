// `compare --csv`: RFC 4180. Nested keys of the JSON become one column each, joined by an underscore.

#include "common/printable.hpp"
#include "coordinator/comparison.hpp"

namespace regatta {

namespace {

/// Quoted where the text holds a comma, a quote or a line break; quotes inside are doubled (RFC 4180, section 2).
std::string field(const std::string& text) {
  std::string shown = printable_lines(text);
  if (shown.find_first_of(",\"\n") == std::string::npos) return shown;
  std::string quoted = "\"";
  for (const char c : shown) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

/// Appends (column, value) for each leaf of a row's JSON.
void flatten(const std::string& name, const Json& value, std::vector<std::pair<std::string, std::string>>& out) {
  if (!value.is_object()) {
    out.emplace_back(name, value_text(value));
    return;
  }
  for (const auto& [key, inner] : value.items()) flatten(name.empty() ? key : name + "_" + key, inner, out);
}

/// Columns of a key whose value is null in one row and an object in another: the object's.
Json with_all_keys(Json row, const Json& rows) {
  for (auto& [key, value] : row.items()) {
    if (!value.is_null()) continue;
    for (const auto& other : rows) {
      if (!other.at(key).is_object()) continue;
      value = other.at(key);
      for (auto& inner : value) inner = nullptr;
      break;
    }
  }
  return row;
}

}  // namespace

std::string to_csv(const Comparison& comparison) {
  const Json rows = to_json(comparison).at("configurations");
  std::string csv;
  for (const auto& row : rows) {
    std::vector<std::pair<std::string, std::string>> fields;
    flatten("", with_all_keys(row, rows), fields);
    std::string header, line;
    for (const auto& [column, value] : fields) {
      header += (header.empty() ? "" : ",") + field(column);
      line += (&column == &fields.front().first ? "" : ",") + field(value);
    }
    if (csv.empty()) csv = header + "\r\n";
    csv += line + "\r\n";
  }
  return csv;
}

}  // namespace regatta
