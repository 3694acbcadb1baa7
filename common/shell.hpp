#pragma once
// Words as a shell reads them.

#include <string>
#include <vector>

namespace regatta {

/// One argument in single quotes, for any shell of a user's.
std::string shell_quoted(const std::string& argument);

/// A command line for people, to be pasted into a shell: quoted only where it has to be. A control character, which a
/// terminal would obey, stands as bash's $'\033'.
std::string shell_command(const std::vector<std::string>& argv);
/// One argument of it.
std::string shell_readable(const std::string& argument);

}  // namespace regatta
