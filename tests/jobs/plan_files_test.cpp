#include "jobs/plan_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "common/error.hpp"
#include "common/files.hpp"
#include "jobs/image_manifest.hpp"
#include "tests/jobs/decoded.hpp"
#include "tests/support/image_files.hpp"

namespace regatta {
namespace {

using test::TemporaryFolder;
using testing::HasSubstr;

Plan plan_of_images(const TemporaryFolder& folder) {
  JobSpec job;
  job.name = "pets";
  job.data.format = DataFormat::kImageFolder;
  job.data.path = folder.path();
  job.train.batch = 4;
  job.stop.epochs = 1;
  job.data.memory_bytes = 100;  // so that it must be streamed
  ConfigurationSpec configuration;
  configuration.name = "one";
  configuration.ranks = 1;
  configuration.train = job.train;
  configuration.stop = job.stop;
  job.configurations = {configuration};
  return make_plan(job, configuration, place(job, configuration, {"here", 1, 1, 0, false, {0}}),
                   index_dataset(job.data, 1), RunId{"01HZX3J5K7M9N2P4Q6R8S0T1V3"}, {}, 1, 1, {});
}

TEST(PlanFiles, AnImageFolderIsReadBackWithItsManifest) {
  TemporaryFolder images, attempt;
  test::write_image_folder(images, 500, 2);
  const Plan plan = plan_of_images(images);
  EXPECT_TRUE(plan.streamed);
  write_plan(plan, attempt.path());
  EXPECT_LT(std::filesystem::file_size(attempt.path() / "plan.json"), 8'000U) << "whatever the number of files";
  const Plan again = read_plan(attempt.path() / "plan.json");
  EXPECT_EQ(again.dataset, plan.dataset);
  EXPECT_TRUE(again.streamed);
  ASSERT_TRUE(again.dataset.images.manifest);
  EXPECT_EQ(*again.dataset.images.manifest, *plan.dataset.images.manifest);
  EXPECT_EQ(test::read_backwards(again.dataset, Split::kTest), test::decoded(plan.dataset, Split::kTest));
}

TEST(PlanFiles, AManifestOfAnotherPlanIsRefused) {
  TemporaryFolder images, attempt;
  test::write_image_folder(images);
  write_plan(plan_of_images(images), attempt.path());
  const auto file = attempt.path() / "manifest.tsv";
  const std::string text = read_file(file);
  for (std::size_t cut = 0; cut < text.size(); cut += 7) {
    write_file_atomically(file, text.substr(0, cut));
    try {
      read_plan(attempt.path() / "plan.json");
      ADD_FAILURE() << "accepted";
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), HasSubstr("manifest.tsv: expected " + std::to_string(text.size()) + " bytes, xxh3 "));
      EXPECT_THAT(error.what(), HasSubstr("as in the plan, found " + std::to_string(cut) + " bytes"));
    }
  }
  std::filesystem::remove(file);
  EXPECT_THROW(read_plan(attempt.path() / "plan.json"), IoError);
}

TEST(PlanFiles, OtherDataHaveNoManifest) {
  TemporaryFolder images, attempt;
  test::write_image_folder(images);
  Plan plan = plan_of_images(images);
  plan.training.data = {.format = DataFormat::kSynthetic};
  plan.training.data.synthetic = {.samples = 5, .shape = {1, 2, 2}, .classes = 2};
  plan.dataset = index_dataset(plan.training.data, 1);
  write_plan(plan, attempt.path());
  EXPECT_FALSE(std::filesystem::exists(attempt.path() / "manifest.tsv"));
  EXPECT_EQ(read_plan(attempt.path() / "plan.json").dataset, plan.dataset);
}

}  // namespace
}  // namespace regatta
