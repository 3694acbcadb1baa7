#include "common/shell.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string_view>

#include "common/printable.hpp"

namespace regatta {

namespace {

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view("/._-=:,+@").find(c) != std::string_view::npos;
}

/// Every byte that is not ASCII, too: bash makes the same text of them again.
std::string escaped(const std::string& argument) {
  std::string text = "$'";
  for (const char letter : argument) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte >= 0x7F)
      text += fmt::format("\\{:03o}", byte);
    else if (letter == '\'' || letter == '\\')
      text += std::string("\\") + letter;
    else
      text += letter;
  }
  return text + "'";
}

}  // namespace

std::string shell_quoted(const std::string& argument) {
  std::string text = "'";
  for (const char letter : argument) text += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return text + "'";
}

std::string shell_readable(const std::string& argument) {
  if (printable(argument) != argument) return escaped(argument);
  const bool as_it_is = !argument.empty() && std::all_of(argument.begin(), argument.end(), is_plain);
  return as_it_is ? argument : shell_quoted(argument);
}

std::string shell_command(const std::vector<std::string>& argv) {
  std::string text;
  for (const auto& argument : argv) text += (text.empty() ? "" : " ") + shell_readable(argument);
  return text;
}

}  // namespace regatta
