// Timed runs never share slots, unless somebody says so.

#include <csignal>

#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf, testing::HasSubstr;

class SlotsTest : public SystemTest {
 protected:
  std::filesystem::path long_job_ = folder_.write("long.yaml", endless_job({kOneCore}, "the-long-one"));
  std::filesystem::path short_job_ = folder_.write("short.yaml", tiny_job({kOneCore}, 1, "the-short-one"));
};

TEST_F(SlotsTest, ASecondRunWaitsAndSaysForWhom) {
  Process first(command({"run", long_job_}), options_);
  wait_for_journal("first_step");
  Process second(command({"run", short_job_}), options_);
  ASSERT_TRUE(wait_until([&] { return second.err().find("waiting for") != std::string::npos; })) << second.err();
  EXPECT_THAT(second.err(), AllOf(HasSubstr("the-long-one"), HasSubstr("pid " + std::to_string(first.pid()))));
  EXPECT_TRUE(second.running());
  EXPECT_EQ(runs().size(), 1U);  // the second has started nothing
  first.signal(SIGINT);
  EXPECT_EQ(first.wait(30s).exit_code, 130);
  const auto result = second.wait(60s);
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_FALSE(runs().back().contended);
}

TEST_F(SlotsTest, AnotherHomeOnTheSameMachineWaitsToo) {
  Process first(command({"run", long_job_}), options_);
  wait_for_journal("first_step");
  auto elsewhere = command({"run", short_job_});
  elsewhere.at(elsewhere.size() - 1) = (folder_.path() / "another-home").string();
  Process second(elsewhere, options_);
  EXPECT_TRUE(wait_until([&] { return second.err().find("waiting for job the-long-one") != std::string::npos; }))
      << second.err();
  second.signal(SIGINT);
  EXPECT_EQ(second.wait(10s).exit_code, 130);
  first.signal(SIGINT);
  EXPECT_EQ(first.wait(30s).exit_code, 130);
}

TEST_F(SlotsTest, AWaitEndsWithCtrlCAndWithTheHoldersDeath) {
  Process first(command({"run", long_job_}), options_);
  wait_for_journal("first_step");
  Process impatient(command({"run", short_job_}), options_);
  Process patient(command({"run", short_job_}), options_);
  ASSERT_TRUE(wait_until([&] {
    return impatient.err().find("waiting") != std::string::npos && patient.err().find("waiting") != std::string::npos;
  }));
  impatient.signal(SIGINT);
  EXPECT_EQ(impatient.wait(10s).exit_code, 130);
  first.signal(SIGKILL);
  first.wait(10s);
  const auto result = patient.wait(60s);
  EXPECT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.err, HasSubstr("lost"));  // what the dead one left is said and closed first
}

TEST_F(SlotsTest, ContendedRunsBesideAndIsMarked) {
  Process first(command({"run", long_job_}), options_);
  wait_for_journal("first_step");
  const Json comparison = regatta_json({"run", short_job_, "--contended", "--quiet"});
  EXPECT_EQ(comparison.at("configurations").at(0).at("contended"), true);
  EXPECT_TRUE(first.running());
  EXPECT_TRUE(runs().back().contended);
  first.signal(SIGINT);
  EXPECT_EQ(first.wait(30s).exit_code, 130);
  EXPECT_TRUE(runs().front().contended) << "who was there first lost its cores too";
  EXPECT_THAT(first.err(), HasSubstr("shared its cores"));
}

TEST_F(SlotsTest, ATimedRunWaitsForAContendedOne) {
  Process guest(command({"run", long_job_, "--contended"}), options_);
  wait_for_journal("first_step");
  Process timed(command({"run", short_job_}), options_);
  EXPECT_TRUE(wait_until([&] { return timed.err().find("waiting for job the-long-one") != std::string::npos; }))
      << timed.err();
  guest.signal(SIGINT);
  EXPECT_EQ(guest.wait(30s).exit_code, 130);
  EXPECT_EQ(timed.wait(60s).exit_code, 0);
  EXPECT_FALSE(runs().back().contended);
}

}  // namespace
}  // namespace regatta::test
