// Command lines that survive a shell.
#include "common/shell.hpp"

#include <gtest/gtest.h>

#include "common/printable.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

const std::vector<std::string> kAwkward = {
    "a b", "it's",   "\"twice\"", "$HOME `id` $(id)",  "back\\slash", "", "-dash", "*", "~", "a=b", "; exit 3",
    "#no", "{1,2}!", "é",         "/a/path with space"};

std::string bracketed(const std::vector<std::string>& arguments) {
  std::string text;
  for (const auto& argument : arguments) text += "[" + argument + "]";
  return text;
}

/// What a shell hands to a program. printf repeats its format for each argument.
std::string through(const std::string& shell, const std::vector<std::string>& arguments) {
  std::vector<std::string> argv = {"/usr/bin/printf", "[%s]"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const auto result = test::run({shell, "-c", shell_command(argv)});
  EXPECT_EQ(result.exit_code, 0) << result.text();
  return result.out;
}

TEST(ShellCommand, CanBePasted) {
  for (const char* shell : {"/bin/sh", "bash"}) EXPECT_EQ(through(shell, kAwkward), bracketed(kAwkward)) << shell;
}

TEST(ShellCommand, ReadsAsItIsWhereNothingHasToBeQuoted) {
  EXPECT_EQ(shell_command({"mpirun", "-np", "2", "--mca", "plm_rsh_agent", "ssh -F /c", "/opt/w", "--set=a.b=1"}),
            "mpirun -np 2 --mca plm_rsh_agent 'ssh -F /c' /opt/w --set=a.b=1");
}

TEST(ShellCommand, SteersNoTerminalAndStillCanBePasted) {
  const std::vector<std::string> wild = {"\033[31mred", "two\nlines", "tab\tit's \\",
                                         "\xC2\x9B"
                                         "31m",
                                         "del\x7F\033"};
  const std::string text = shell_command(wild);
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(through("bash", wild), bracketed(wild));
}

}  // namespace
}  // namespace regatta
