#pragma once
// Text from elsewhere (another user's file, an imported run, a rank's log) on its way to a terminal or a page.

#include <string>
#include <string_view>

namespace regatta {

/// One line: each control character (ASCII, and C1 in UTF-8) is a '?', so that nobody's words steer a terminal or begin
/// a line of their own.
std::string printable(std::string_view text);

/// The same with its line breaks and tabs; each line after the first begins with `indent` spaces.
std::string printable_lines(std::string_view text, std::size_t indent = 0);

}  // namespace regatta
