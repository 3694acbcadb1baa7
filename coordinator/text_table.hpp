#pragma once
// Tables for a terminal, the same for every command.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace regatta {

enum class Align { kLeft, kRight };  ///< numbers right
enum class Style { kPlain, kBold, kGreen, kYellow, kRed };

struct Cell {
  std::string text;
  Style style = Style::kPlain;
  // Implicit: a row is written as a list of texts.
  Cell(std::string t, Style s = Style::kPlain) : text(std::move(t)), style(s) {}  // NOLINT(google-explicit-constructor)
  Cell(const char* t) : text(t) {}                                                // NOLINT(google-explicit-constructor)
};

/// Columns under a header, as wide as their widest cell and two spaces apart. UTF-8 counts as characters.
class TextTable {
 public:
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// A row with fewer cells than columns is filled with empty ones; more is a broken promise. Cells are made printable.
  void add(std::vector<Cell> row);
  /// Every line ends with a newline and without spaces before it.
  std::string text(bool colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// `text` in the style, or as it is without colour.
std::string painted(const std::string& text, Style style, bool colour);

/// The descriptor is a terminal, NO_COLOR is unset or empty, TERM is not "dumb".
bool wants_colour(int descriptor);

}  // namespace regatta
