// Too little memory for a batch, with the real worker around a model that has room for so many samples.

#include <fmt/format.h>

#include "common/files.hpp"
#include "tests/worker/worker_runs.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SmallMemory : public WorkerRuns {
 protected:
  static std::string wrapped() { return std::string(REGATTA_BIN_DIR) + "/wrapped-worker"; }
  ProcessResult train(int ranks, int room, const std::string& key) {
    fs::remove_all(run_dir());
    options_.environment["REGATTA_TEST_MEMORY"] = std::to_string(room);
    return run(launch(ranks, wrapped(), {job(1, key).string()}), options_, std::chrono::seconds(60));
  }
  std::optional<std::int64_t> micro_batch() const {
    for (const auto& line : journal())
      if (const auto* start = std::get_if<record::Start>(&line.body)) return start->micro_batch;
    return {};
  }
};

TEST_F(SmallMemory, AutoHalvesUntilItFitsOnAllRanksAndWritesItDown) {
  // 64 samples, 32 a rank: 32 and 16 do not fit, 8 do.
  const ProcessResult ended = train(2, 13, "micro_batch: auto");
  EXPECT_EQ(ended.exit_code, 0) << ended.text();
  EXPECT_EQ(micro_batch(), 8);
  EXPECT_THAT(rank_log(1), HasSubstr("micro_batch auto: 8 samples at once"));
  const double pieces = result()["train_loss"].get<double>();
  EXPECT_EQ(train(2, 1000, "micro_batch: auto").exit_code, 0);
  EXPECT_EQ(micro_batch(), std::nullopt) << "a rank's part fits as it is";
  EXPECT_NEAR(result()["train_loss"].get<double>(), pieces, 1e-5 * pieces);
}

TEST_F(SmallMemory, ANumberIsObeyed) {
  EXPECT_EQ(train(1, 5, "micro_batch: 5").exit_code, 0);
  EXPECT_EQ(micro_batch(), 5);
}

TEST_F(SmallMemory, WithoutItTheMessageSaysWhatWouldFit) {
  const ProcessResult ended = train(2, 13, "deadline: 20");
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::kOutOfMemory)) << ended.text();
  EXPECT_THAT(ended.err, AllOf(HasSubstr("computes 32 samples at once: CUDA out of memory. Tried to allocate 2.50 GiB"),
                               HasSubstr("1.13 GiB is free."), HasSubstr("8 samples fit: write train.micro_batch: 8")));
  EXPECT_EQ(micro_batch(), std::nullopt);
}

TEST_F(SmallMemory, WhereNotOneSampleFitsAllRanksSaySoOnce) {
  const ProcessResult ended = train(2, 0, "micro_batch: auto");
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::kOutOfMemory)) << ended.text();
  EXPECT_EQ(count_of("not even one sample fits", ended.err), 1) << ended.err;
}

}  // namespace
}  // namespace regatta::test
