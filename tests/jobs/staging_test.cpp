#include "jobs/staging.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "jobs/image_folder.hpp"
#include "tests/jobs/decoded.hpp"
#include "tests/jobs/idx_data.hpp"
#include "tests/support/image_files.hpp"

namespace regatta {
namespace {

using test::decoded;
using test::TemporaryFolder;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

const StageSpaceOf kRoom = [](const fs::path&) { return StageSpace{.total = 1 << 30, .free = 1 << 30}; };

/// A tiny dataset, and a place for copies that is empty.
class Staging : public testing::Test {
 protected:
  std::string error_of(const StageSpaceOf& space = kRoom) const {
    try {
      stage_dataset(index_, place_, space);
      return "";
    } catch (const DataError& error) {
      return error.what();
    }
  }
  std::vector<std::string> names_in(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
    return names;
  }
  fs::path copy_of(std::size_t file) const { return staged_index(index_, place_).files.at(file).path; }

  TemporaryFolder data_, there_;
  const fs::path place_ = there_.path() / "stage";
  const DatasetIndex index_ = index_dataset(test::write_idx(data_, test::tiny_idx()), 1);
};

TEST_F(Staging, CopiesEveryFileAndReadsTheSame) {
  const Staged staged = stage_dataset(index_, place_, kRoom);
  EXPECT_EQ(staged.bytes, bytes_to_stage(index_));
  EXPECT_EQ(staged.copied_bytes, staged.bytes);
  const DatasetIndex there = staged_index(index_, place_);
  for (std::size_t i = 0; i < index_.files.size(); ++i) {
    EXPECT_EQ(there.files[i].path.parent_path(), place_ / index_.key);
    EXPECT_EQ(read_file(there.files[i].path), read_file(index_.files[i].path));
  }
  EXPECT_EQ(decoded(there, Split::kTrain).pixels, decoded(index_, Split::kTrain).pixels);
  EXPECT_EQ(there.key, index_.key) << "it is the same dataset";
  EXPECT_EQ(fs::status(place_).permissions(), fs::perms::owner_all);
}

TEST_F(Staging, UsesAgainWhatIsThereAndRight) {
  { const Staged first = stage_dataset(index_, place_, kRoom); }
  fs::remove(index_.files[0].path);  // not even looked at
  EXPECT_EQ(stage_dataset(index_, place_, kRoom).copied_bytes, 0);
}

TEST_F(Staging, CopiesAnewWhatIsDamagedOrCutShort) {
  { const Staged first = stage_dataset(index_, place_, kRoom); }
  std::string damaged = read_file(copy_of(0));
  damaged.back() ^= 1;
  std::ofstream(copy_of(0), std::ios::binary) << damaged;
  std::ofstream(copy_of(1).string() + ".part") << "half";  // of a job that was killed
  EXPECT_EQ(stage_dataset(index_, place_, kRoom).copied_bytes, index_.files[0].bytes);
  EXPECT_EQ(xxh3_file_hex(copy_of(0)), index_.files[0].xxh3);
  EXPECT_EQ(names_in(place_ / index_.key).size(), index_.files.size()) << "the piece is gone";
}

TEST_F(Staging, RefusesASourceThatIsAnotherOrNotThere) {
  std::ofstream(index_.files[2].path, std::ios::app) << "more";
  EXPECT_THAT(error_of(), AllOf(HasSubstr(index_.files[2].path), HasSubstr("changed after it was indexed")));
  EXPECT_FALSE(fs::exists(copy_of(2)));
  fs::remove(index_.files[2].path);
  EXPECT_THAT(error_of(), AllOf(HasSubstr("cannot open " + index_.files[2].path.string()), HasSubstr("No such file")));
}

TEST_F(Staging, TwoAtOnceShareOneCopy) {
  std::vector<std::int64_t> copied(4);
  std::vector<std::thread> jobs;
  for (auto& bytes : copied) jobs.emplace_back([&] { bytes = stage_dataset(index_, place_, kRoom).copied_bytes; });
  for (auto& job : jobs) job.join();
  std::sort(copied.begin(), copied.end());
  EXPECT_EQ(copied, (std::vector<std::int64_t>{0, 0, 0, bytes_to_stage(index_)}));
}

TEST_F(Staging, KeepsItsBoundsAndRemovesWhatNobodyReads) {
  const std::int64_t bytes = bytes_to_stage(index_);
  EXPECT_THAT(error_of([&](const fs::path&) { return StageSpace{.total = 10 * bytes, .free = bytes}; }),
              AllOf(HasSubstr("expected room for "), HasSubstr("REGATTA_STAGE")))
      << "a twentieth stays free";
  EXPECT_THAT(error_of([&](const fs::path&) { return StageSpace{.total = bytes, .free = bytes}; }),
              HasSubstr("half of the file system"));
  EXPECT_THAT(names_in(place_), UnorderedElementsAre(index_.key + ".lock")) << "nothing was begun";

  const std::string old_key(32, 'a'), used_key(32, 'b');
  for (const auto& key : {old_key, used_key}) {
    fs::create_directories(place_ / key);
    std::ofstream(place_ / key / "data") << std::string(static_cast<std::size_t>(bytes), 'x');
  }
  StageLock reader(place_ / (used_key + ".lock"));
  ASSERT_TRUE(reader.share(0s));
  // Room for two of the three, so one has to go: the one that nobody reads.
  const auto space = [&](const fs::path&) { return StageSpace{.total = 4 * bytes + 8, .free = 4 * bytes}; };
  EXPECT_EQ(error_of(space), "");
  EXPECT_FALSE(fs::exists(place_ / old_key));
  EXPECT_TRUE(fs::exists(place_ / used_key / "data"));
  EXPECT_TRUE(fs::exists(copy_of(0)));
}

TEST_F(Staging, IsKeptByWhoReadsIt) {
  const Staged reading = stage_dataset(index_, place_, kRoom);
  StageLock other(place_ / (index_.key + ".lock"));
  EXPECT_FALSE(other.take(0s));
  EXPECT_TRUE(other.share(0s)) << "a second run reads it, too";
}

TEST_F(Staging, ALockIsOnTheFileThatIsThere) {
  const fs::path path = there_.path() / "key.lock";
  StageLock early(path);
  fs::remove(path);  // as who sweeps /tmp does
  {
    StageLock late(path);
    ASSERT_TRUE(late.take(0s));
    EXPECT_FALSE(early.share(100ms)) << "both would hold it";
  }
  EXPECT_TRUE(early.share(10s));
  EXPECT_FALSE(StageLock(path).take(0s));
}

TEST_F(Staging, WaitsForOthersNoLongerThanItsPatienceAltogether) {
  fs::create_directory(place_);
  fs::permissions(place_, fs::perms::owner_all);
  StageLock other(place_ / (index_.key + ".lock"));
  ASSERT_TRUE(other.take(0s));
  std::thread others([&] {
    std::this_thread::sleep_for(600ms);
    EXPECT_TRUE(other.share(0s));  // nothing was copied: it is for this one to do, once nobody reads
    std::this_thread::sleep_for(800ms);
    other = StageLock(there_.path() / "elsewhere");
  });
  try {
    stage_dataset(index_, place_, kRoom, 1s);
    ADD_FAILURE() << "it waited for 1.4 s";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("have not ended for 1 s"), HasSubstr("REGATTA_STAGE")));
  }
  others.join();
}

// Whoever is impatient first says why: the node that waits for others' copying, not those that wait for this node.
TEST_F(Staging, WhatWaitsForANodeHasPatienceForItsPatience) {
  DatasetIndex images = index_;
  images.images.data_bytes = 50'000'000;
  images.images.count = 1'000'000;
  for (const DatasetIndex& index : {index_, images}) {
    const Duration reading = reading_allowance(bytes_to_stage(index));
    EXPECT_GE(stage_allowance(index), stage_patience(index) + 2 * reading) << "a copy and a look at it";
  }
  EXPECT_GT(stage_patience(images), 10 * stage_patience(index_)) << "others, too, open a million files";
}

TEST_F(Staging, BelievesNoFolderThatOthersMayWriteTo) {
  fs::create_directories(place_);
  ASSERT_EQ(::chmod(place_.c_str(), 0777), 0);
  EXPECT_THAT(error_of(), HasSubstr("this user alone"));
  fs::remove(place_);
  fs::create_directories(there_.path() / "elsewhere");
  fs::create_directory_symlink(there_.path() / "elsewhere", place_);
  EXPECT_THAT(error_of(), HasSubstr("this user alone"));
  EXPECT_THAT(names_in(there_.path() / "elsewhere"), IsEmpty());
}

TEST(StagingOfImages, KeepsTheirFolders) {
  TemporaryFolder data, there;
  data.write("train/cat/1.png", test::png_of(2, 3, 10, 11, 12));
  data.write("train/dog/1.png", test::png_of(2, 3, 20, 21, 22));
  data.write("val/cat/1.png", test::png_of(2, 3, 30, 31, 32));
  data.write("val/dog/1.png", test::png_of(2, 3, 40, 41, 42));
  DataSpec spec;
  spec.format = DataFormat::kImageFolder;
  spec.path = data.path();
  const DatasetIndex index = index_dataset(spec, 1);
  const fs::path place = there.path() / "stage";
  EXPECT_EQ(stage_dataset(index, place, kRoom).copied_bytes, index.images.data_bytes);
  EXPECT_TRUE(fs::exists(place / index.key / "train/dog/1.png"));
  fs::remove_all(data.path() / "train");
  EXPECT_EQ(decoded(staged_index(index, place), Split::kTrain).labels, (std::vector<std::int64_t>{0, 1}));
}

TEST(StageFolder, IsWhereTheEnvironmentSays) {
  const auto of = [](const std::vector<std::pair<std::string, std::string>>& variables) {
    return stage_folder([&](const char* name) -> const char* {
      for (const auto& [key, value] : variables)
        if (key == name) return value.c_str();
      return nullptr;
    });
  };
  const std::string own = "regatta-stage-" + std::to_string(::geteuid());
  EXPECT_EQ(of({{"REGATTA_STAGE", "/scratch"}, {"SLURM_TMPDIR", "/s"}, {"TMPDIR", "/t"}}), fs::path("/scratch") / own);
  EXPECT_EQ(of({{"SLURM_TMPDIR", "/s"}, {"TMPDIR", "/t"}}), fs::path("/s") / own);
  EXPECT_EQ(of({{"TMPDIR", "/t"}}), fs::path("/t") / own);
  EXPECT_EQ(of({}), fs::path("/tmp") / own);
}

}  // namespace
}  // namespace regatta
