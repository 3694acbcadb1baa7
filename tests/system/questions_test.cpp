// Questions to a ledger through the binary: list, logs, compare as CSV and Markdown, prices.

#include <sstream>

#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr, testing::IsEmpty, testing::Not, testing::SizeIs, testing::StartsWith;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

class QuestionsTest : public SystemTest {
 protected:
  void SetUp() override {
    const auto job = folder_.write("job.yaml", tiny_job({kOneCore, kTwoCores}, 1));
    const auto result = regatta({"run", job, "--quiet"});
    ASSERT_EQ(result.exit_code, 0) << result.text();
  }
  std::string id_of(const std::string& configuration) const {
    for (const auto& run_state : runs())
      if (run_state.configuration == configuration) return run_state.id.value;
    return "no run";
  }
};

TEST_F(QuestionsTest, AreAnsweredInEveryForm) {
  const auto csv = regatta({"compare", "--csv"});
  ASSERT_EQ(csv.exit_code, 0) << csv.text();
  EXPECT_THAT(csv.out, StartsWith("configuration,pool,"));
  EXPECT_THAT(lines_of(csv.out), SizeIs(3));
  const auto markdown = regatta({"compare", "--md"});
  ASSERT_EQ(markdown.exit_code, 0) << markdown.text();
  EXPECT_THAT(markdown.out, AllOf(StartsWith("| configuration | pool |"), HasSubstr("**Verdict:**")));

  const auto logs = regatta({"logs", id_of("two-cores")});
  EXPECT_EQ(logs.exit_code, 0) << logs.text();
  EXPECT_THAT(logs.out,
              AllOf(HasSubstr("== rank-0.log\n"), HasSubstr("== rank-1.log\n"), HasSubstr("== launch.log\n")));
  const auto rank = regatta({"logs", id_of("two-cores"), "--rank", "1"});
  EXPECT_EQ(rank.exit_code, 0) << rank.text();
  EXPECT_THAT(rank.out, AllOf(Not(HasSubstr("==")), HasSubstr(" info ")));
  EXPECT_THAT(regatta({"logs", id_of("one-core"), "--rank", "1"}).err, HasSubstr("no log of rank 1 there"));
  EXPECT_EQ(regatta({"logs", id_of("one-core"), "--attempt", "2"}).exit_code, 1);

  const auto job = folder_.write("job.yaml", tiny_job({kOneCore}, 1));
  ASSERT_EQ(regatta({"run", job, "--quiet"}).exit_code, 0);
  EXPECT_THAT(regatta_json({"list"}), SizeIs(2));
  EXPECT_THAT(regatta_json({"list", "--limit", "0"}), SizeIs(2));
  EXPECT_THAT(regatta_json({"list", "--limit", "1"}), SizeIs(1));
  EXPECT_THAT(regatta({"compare"}).out, HasSubstr("confidence  none (there is only one configuration)"));
}

TEST_F(QuestionsTest, ThatMakeNoSenseAreRefused) {
  const std::pair<std::vector<std::string>, const char*> table[] = {
      {{"list", "--limit", "-1"}, "--limit"},
      {{"list", "--limit", "99999999999999999999"}, "--limit"},
      {{"list", "--limit", "many"}, "--limit"},
      {{"compare", "--price", "here=80000"}, "from 0 to 50000"},
      {{"compare", "--price", "there=1"}, "no run used pool \"there\""},
      {{"compare", "--csv", "--md"}, "--csv"}};
  for (const auto& [arguments, says] : table) {
    const auto result = regatta(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.text();
    EXPECT_THAT(result.err, AllOf(StartsWith("regatta: "), HasSubstr(says)));
    EXPECT_THAT(result.out, IsEmpty());
  }
}

}  // namespace
}  // namespace regatta::test
