#include "common/printable.hpp"

namespace regatta {

namespace {

template <class Keep>
std::string without_controls(std::string_view text, Keep keep) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0xC2 && next >= 0x80 && next <= 0x9F) {  // U+0080 to U+009F: some terminals obey them too
      out += '?';
      ++i;
    } else if ((byte < 0x20 || byte == 0x7F) && !keep(text[i], out)) {
      out += '?';
    } else if (byte >= 0x20 && byte != 0x7F) {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return without_controls(text, [](char, std::string&) { return false; });
}

std::string printable_lines(std::string_view text, std::size_t indent) {
  return without_controls(text, [&](char letter, std::string& out) {
    if (letter != '\n' && letter != '\t') return false;
    out += letter;
    if (letter == '\n') out.append(indent, ' ');
    return true;
  });
}

}  // namespace regatta
