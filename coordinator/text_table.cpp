#include "coordinator/text_table.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "common/error.hpp"
#include "common/printable.hpp"

namespace regatta {

namespace {

/// Characters, not bytes: continuation bytes of UTF-8 are 10xxxxxx.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }));
}

const char* escape_of(Style style) {
  switch (style) {
    case Style::kPlain:
      return "";
    case Style::kBold:
      return "\033[1m";
    case Style::kGreen:
      return "\033[32m";
    case Style::kYellow:
      return "\033[33m";
    case Style::kRed:
      return "\033[31m";
  }
  return "";
}

void trim_right(std::string& line) {
  line.erase(line.find_last_not_of(' ') + 1);
}

}  // namespace

void TextTable::add(std::vector<Cell> row) {
  REGATTA_ENSURE(row.size() <= columns_.size(), "more cells than columns");
  row.resize(columns_.size(), Cell(""));
  for (auto& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

std::string TextTable::text(bool colour) const {
  std::vector<std::vector<Cell>> lines(1);
  for (const auto& column : columns_) lines.front().emplace_back(column.title, Style::kBold);
  lines.insert(lines.end(), rows_.begin(), rows_.end());

  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& line : lines)
    for (std::size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], width_of(line[c].text));

  std::string out;
  for (const auto& cells : lines) {
    std::string line;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      const std::string space(widths[c] - width_of(cells[c].text), ' ');
      const std::string shown = painted(cells[c].text, cells[c].style, colour);
      line += (c == 0 ? "" : "  ") + (columns_[c].align == Align::kRight ? space + shown : shown + space);
    }
    trim_right(line);
    out += line + "\n";
  }
  return out;
}

std::string painted(const std::string& text, Style style, bool colour) {
  if (!colour || style == Style::kPlain || text.empty()) return text;
  return escape_of(style) + text + "\033[0m";
}

bool wants_colour(int descriptor) {
  const char* refused = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return (refused == nullptr || *refused == '\0') && ::isatty(descriptor) == 1 && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

}  // namespace regatta
