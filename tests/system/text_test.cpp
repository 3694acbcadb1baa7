// Text, from `regatta run` to the ledger.

#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr;

class TextTest : public SystemTest {
 protected:
  TextTest() {
    std::string text;
    for (int i = 0; i < 200; ++i) text += "the cat sat on the mat; ";
    folder_.write("a.txt", text);
  }

  std::filesystem::path job(const std::string& data) const {
    return folder_.write("job.yaml",
                         "name: cats\nmodel: {kind: lstm, embedding: 8, hidden_size: 32, layers: 1}\n"
                         "data: " +
                             data + "\ntrain: {batch: 16, optimizer: {kind: adam, lr: 0.01}}\nstop: {epochs: 4}\n" +
                             "configurations:\n  - " + kOneCore + "\n  - " + kTwoCores + "\n");
  }
};

TEST_F(TextTest, IsLearnedByOneRankAndByTwoDecodedOrStreamed) {
  for (const std::string memory : {"", ", memory: 1KiB"}) {
    const auto result = regatta({"run", job("{format: text, path: a.txt, length: 12" + memory + "}")});
    ASSERT_EQ(result.exit_code, 0) << result.text();
    EXPECT_THAT(result.out, HasSubstr("agreement   agree"));
  }
  const auto all = runs();
  ASSERT_EQ(all.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    const auto& last = all[i].attempts.at(0).epochs.back();
    EXPECT_LT(*last.test_loss, 0.5) << "11 characters; alone their entropy is 2.14 nats";
    EXPECT_EQ(last.train_loss, all[i % 2].attempts.at(0).epochs.back().train_loss)
        << "streamed, the same samples come in the same order";
  }
}

TEST_F(TextTest, CanBeMade) {
  const auto result = regatta({"run", job("{format: synthetic, samples: 640, length: 16, vocabulary: 12}")});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  for (const auto& run : runs())
    EXPECT_LT(*run.attempts.at(0).epochs.back().test_loss, 1.6) << "log 12 = 2.48 without knowing the cycle";
}

TEST_F(TextTest, OfOneCharacterIsOneClearMessage) {
  folder_.write("a.txt", "x");
  const auto result = regatta({"run", job("{format: text, path: a.txt, length: 12}")});
  EXPECT_EQ(result.exit_code, 10) << result.text();
  EXPECT_THAT(result.err, AllOf(HasSubstr("a.txt: byte 0: expected text of at least 2 different characters, found 1"),
                                HasSubstr("\n  there is nothing to learn")));
}

}  // namespace
}  // namespace regatta::test
