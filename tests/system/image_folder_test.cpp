// A folder of images, from `regatta run` to the ledger.

#include <fstream>

#include "common/files.hpp"
#include "tests/support/image_files.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr, testing::Not;

class ImageFolderTest : public SystemTest {
 protected:
  ImageFolderTest() { write_image_folder(data_, 16, 6); }

  std::filesystem::path job(const std::string& more = "") const {
    return folder_.write("job.yaml", "name: pets\nmodel: {kind: mlp, hidden: [8]}\ndata: {format: imagefolder, path: " +
                                         data_.path().string() + more +
                                         "}\ntrain: {batch: 8, optimizer: {lr: 0.5}}\nstop: {epochs: 6}\n"
                                         "configurations:\n  - " +
                                         kOneCore + "\n  - " + kTwoCores + "\n");
  }
  std::string ledger_bytes() const {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(home()))
      if (entry.is_regular_file()) all += read_file(entry.path());
    return all;
  }

  TemporaryFolder data_;
};

TEST_F(ImageFolderTest, IsLearnedByOneRankAndByTwo) {
  const auto result = regatta({"run", job()});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out, HasSubstr("agreement   agree"));
  EXPECT_THAT(result.err, Not(HasSubstr("damaged")));
  for (const auto& run : runs()) {
    EXPECT_EQ(run.attempts.at(0).epochs.back().test_accuracy, 1.0) << "cats are bright, dogs are dark";
    const std::filesystem::path attempt = std::filesystem::path(run.run_dir) / "attempt-1";
    EXPECT_THAT(read_file(attempt / "manifest.tsv"), HasSubstr("\ttrain/cat/15.jpg\n"));
    EXPECT_THAT(read_file(attempt / "plan.json"), Not(HasSubstr("15.jpg")));
  }
  EXPECT_THAT(ledger_bytes(), Not(HasSubstr("15.jpg"))) << "the manifest stays in the attempt's folder";
}

TEST_F(ImageFolderTest, StreamsWhatDoesNotFit) {
  const auto whole = regatta_json({"run", job()});
  const auto dry = regatta({"run", job(", memory: 4KiB"), "--dry-run"});
  EXPECT_THAT(dry.out, HasSubstr("streamed"));
  const auto result = regatta({"run", job(", memory: 4KiB")});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  const auto all = runs();
  ASSERT_EQ(all.size(), 4U);
  for (std::size_t row = 0; row < 2; ++row)
    EXPECT_EQ(all[row + 2].attempts.at(0).epochs.back().train_loss, all[row].attempts.at(0).epochs.back().train_loss)
        << "the same samples in the same order, to the bit";
}

TEST_F(ImageFolderTest, DamagedFilesAreLeftOutOnRequestAndSaidEverywhere) {
  data_.write("train/cat/3.jpg", "text");
  data_.write("test/dog/5.jpg", "");
  const auto refused = regatta({"run", job()});
  EXPECT_EQ(refused.exit_code, 10) << refused.text();
  EXPECT_THAT(refused.err, AllOf(HasSubstr("train/cat/3.jpg: expected JPEG or PNG, found text; 1 more of 44 files"),
                                 HasSubstr("on_error: skip")));
  EXPECT_FALSE(std::filesystem::exists(home() / "runs"));

  const std::string words =
      "2 damaged files left out: train/cat/3.jpg: expected JPEG or PNG, found text; "
      "test/dog/5.jpg: expected JPEG or PNG, found an empty file";
  const auto dry = regatta({"run", job(", on_error: skip"), "--dry-run"});
  EXPECT_THAT(dry.out, AllOf(HasSubstr("31 training and 11 test samples"), HasSubstr(words)));
  const auto result = regatta({"run", job(", on_error: skip")});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.err, HasSubstr("data: " + words));
  EXPECT_EQ(result.err.find(words), result.err.rfind(words)) << "once";
  for (const auto& run : runs()) {
    EXPECT_THAT(run.attempts.at(0).start->warnings, testing::Contains("data: " + words));
    EXPECT_THAT(regatta({"show", run.id.value}).out, HasSubstr(words));
  }
}

TEST_F(ImageFolderTest, ARunByHandIsImported) {
  const auto run_dir = folder_.path() / "by-hand";
  const auto trained =
      run({binary("regatta-worker").string(), job().string(), "--config", "one-core", "--run-dir", run_dir.string()},
          options_);
  ASSERT_EQ(trained.exit_code, 0) << trained.text();
  EXPECT_TRUE(std::filesystem::exists(run_dir / "attempt-1/manifest.tsv"));
  const auto imported = regatta({"import", run_dir.string()});
  EXPECT_EQ(imported.exit_code, 0) << imported.text();
  const State now = state();
  ASSERT_EQ(now.runs.size(), 1U);
  EXPECT_EQ(now.runs.begin()->second.attempts.at(0).epochs.size(), 6U);
  EXPECT_THAT(ledger_bytes(), Not(HasSubstr("15.jpg")));
  // Its plan, run again, trains the same; a manifest that is not the plan's is refused before anything is trained.
  const auto again = folder_.path() / "again";
  const std::vector<std::string> repeat{binary("regatta-worker").string(), "--plan",
                                        (run_dir / "attempt-1/plan.json").string(), "--run-dir", again.string()};
  std::ofstream(run_dir / "attempt-1/manifest.tsv", std::ios::app) << "\n";
  const auto refused = run(repeat, options_);
  EXPECT_EQ(refused.exit_code, 2) << refused.text();
  EXPECT_THAT(refused.err, HasSubstr("manifest.tsv: expected "));
}

TEST_F(ImageFolderTest, AFileThatChangesAfterIndexingEndsTheRun) {
  const auto run_dir = folder_.path() / "by-hand";
  ASSERT_EQ(
      run({binary("regatta-worker").string(), job().string(), "--config", "one-core", "--run-dir", run_dir.string()},
          options_)
          .exit_code,
      0);
  data_.write("train/dog/2.jpg", jpeg_of(8, 8, 1, 1, 1));
  const auto ended = run({binary("regatta-worker").string(), "--plan", (run_dir / "attempt-1/plan.json").string(),
                          "--run-dir", (folder_.path() / "again").string()},
                         options_);
  EXPECT_EQ(ended.exit_code, 10) << ended.text();
  EXPECT_THAT(ended.err, HasSubstr("train/dog/2.jpg: changed after it was indexed: expected"));
}

}  // namespace
}  // namespace regatta::test
