// Every word over the link is checked: what is encoded comes back, and nothing else gets in.
#include "common/link.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/error.hpp"

namespace regatta {
namespace {

TEST(Link, HelloComesBack) {
  const auto message =
      decode(encode(LinkHello{.token = "00ff", .run_id = RunId{"01ARZ3NDEKTSV4RRFFQ69G5FAV"}, .attempt = 3}));
  const auto* hello = std::get_if<LinkHello>(&message);
  ASSERT_NE(hello, nullptr);
  EXPECT_EQ(hello->token, "00ff");
  EXPECT_EQ(hello->run_id.value, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(hello->attempt, 3);
}

TEST(Link, NoticeComesBack) {
  const auto message = decode(encode(JournalNotice{.seq = 1LL << 40}));
  ASSERT_TRUE(std::holds_alternative<JournalNotice>(message));
  EXPECT_EQ(std::get<JournalNotice>(message).seq, 1LL << 40);
}

TEST(Link, ProgressComesBack) {
  const Progress sent{.epoch = 2,
                      .step = 17,
                      .steps_per_epoch = 469,
                      .loss = 0.1 + 0.2,
                      .samples_per_s = 12'345.6,
                      .phase = "evaluate"};
  const auto message = decode(encode(sent));
  ASSERT_TRUE(std::holds_alternative<Progress>(message));
  const auto& got = std::get<Progress>(message);
  EXPECT_EQ(got.epoch, sent.epoch);
  EXPECT_EQ(got.step, sent.step);
  EXPECT_EQ(got.steps_per_epoch, sent.steps_per_epoch);
  EXPECT_EQ(got.loss, sent.loss);  // to the last bit
  EXPECT_EQ(got.samples_per_s, sent.samples_per_s);
  EXPECT_EQ(got.phase, sent.phase);
}

TEST(Link, NonFiniteNumbersTravelAsNull) {
  const std::string line = encode(Progress{.loss = std::numeric_limits<double>::quiet_NaN(),
                                           .samples_per_s = std::numeric_limits<double>::infinity()});
  EXPECT_THAT(line, testing::HasSubstr(R"("loss":null)"));
  const auto message = decode(line);
  EXPECT_TRUE(std::isnan(std::get<Progress>(message).loss));
  EXPECT_TRUE(std::isnan(std::get<Progress>(message).samples_per_s));
}

TEST(Link, ALineIsOneLine) {
  EXPECT_EQ(encode(LinkHello{.token = "a\nb"}).find('\n'), std::string::npos);
}

TEST(Link, RefusesEverythingElse) {
  const std::string long_line = R"({"type":"journal","seq":1,"x":")" + std::string(kLinkLineLimit, 'x') + "\"}";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not JSON"},
      {"hello", "not JSON"},
      {R"({"type":"journal","seq":1)", "not JSON"},
      {"\xff\xfe", "not JSON"},
      {"[1, 2]", "expected inside an object"},
      {"7", "expected inside an object"},
      {"{}", "missing key type"},
      {R"({"type":"shutdown"})", "unknown message \"shutdown\""},
      {R"({"type":7})", "type: wrong type"},
      {R"({"type":"journal"})", "missing key seq"},
      {R"({"type":"journal","seq":"1"})", "seq: wrong type"},
      {R"({"type":"journal","seq":1.5})", "seq: wrong type"},
      {R"({"type":"journal","seq":99999999999999999999})", "seq: wrong type"},
      {R"({"token":"x","run_id":"y"})", "missing key attempt"},
      {R"({"token":1,"run_id":"y","attempt":1})", "token: wrong type"},
      {R"({"type":"progress","epoch":3000000000,"step":1,"steps_per_epoch":1,"phase":"train"})", "epoch: wrong type"},
      {R"({"type":"progress","epoch":0,"step":1,"steps_per_epoch":1,"phase":"train"})", "epoch: expected at least 1"},
      {R"({"type":"progress","epoch":1,"step":-1,"steps_per_epoch":1,"phase":"train"})", "step: expected at least 0"},
      {R"({"type":"progress","epoch":1,"step":1,"steps_per_epoch":-1,"phase":"train"})",
       "steps_per_epoch: expected at least 0"},
      {R"({"type":"progress","epoch":1,"step":1,"steps_per_epoch":1,"phase":"\u001b[2Jtrain"})",
       "phase: expected train or evaluate"},
      {R"({"type":"journal","seq":0})", "seq: expected at least 1"},
      {R"({"token":"x","run_id":"y","attempt":0})", "attempt: expected at least 1"},
      {long_line, "at most 4096"},
  };
  for (const auto& [line, words] : cases) {
    try {
      decode(line);
      ADD_FAILURE() << "accepted " << line.substr(0, 80);
    } catch (const CommError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(words)) << line.substr(0, 80);
    }
  }
}

}  // namespace
}  // namespace regatta
