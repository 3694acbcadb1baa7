#include "jobs/image_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "jobs/image_manifest.hpp"
#include "tests/jobs/decoded.hpp"
#include "tests/support/image_files.hpp"

namespace regatta {
namespace {

using test::decoded;
using test::jpeg_of;
using test::png_of;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

DataSpec images_in(const TemporaryFolder& folder) {
  DataSpec data;
  data.format = DataFormat::kImageFolder;
  data.path = folder.path();
  return data;
}

TEST(ImageFolder, ClassesAndFilesAreInTheOrderOfTheirNames) {
  TemporaryFolder folder;
  folder.write("train/dog/b.PNG", png_of(2, 3, 30, 31, 32));
  folder.write("train/dog/a.png", png_of(2, 3, 20, 21, 22));
  folder.write("train/cat/z.Jpeg", png_of(2, 3, 10, 11, 12));  // what a file is, its content says
  folder.write("train/cat/notes.txt", "not an image");
  folder.write("train/cat/.hidden.jpg", "not an image");
  folder.write("train/cat/.thumbnails/1.jpg", "not an image");
  folder.write("train/README.md", "no class");
  folder.write("val/cat/1.png", png_of(2, 3, 40, 41, 42));
  folder.write("val/dog/1.png", png_of(2, 3, 50, 51, 52));
  const DatasetIndex index = index_dataset(images_in(folder), 1);
  EXPECT_EQ(index.train_count, 3);
  EXPECT_EQ(index.test_count, 2);
  EXPECT_EQ(index.classes, 2);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{3, 2, 3}));
  EXPECT_EQ(index.skipped, 0);
  EXPECT_EQ(skipped_words(index), "");
  EXPECT_THAT(index.images.manifest->classes, ElementsAre("cat", "dog"));
  const auto train = decoded(index, Split::kTrain), test = decoded(index, Split::kTest);
  EXPECT_THAT(train.labels, ElementsAre(0, 1, 1));
  EXPECT_THAT(test.labels, ElementsAre(0, 1));
  ASSERT_EQ(train.pixels.size(), 3U * 18U);
  for (std::size_t i = 0; i < train.pixels.size(); ++i)
    EXPECT_EQ(train.pixels[i], 10 * (i / 18 + 1) + i % 3) << i;  // (H, W, C)
  EXPECT_EQ(test.pixels.front(), 40);
  EXPECT_EQ(test.pixels.back(), 52);
  // Of the training pixels alone: 10, 20, 30 and 1, 2 more.
  for (std::size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(index.mean[c], (20 + static_cast<double>(c)) / 255, 1e-15);
    EXPECT_NEAR(index.deviation[c], std::sqrt(200.0 / 3) / 255, 1e-15);
  }
  for (const Split split : {Split::kTrain, Split::kTest})
    EXPECT_EQ(test::read_backwards(index, split), decoded(index, split));
}

TEST(ImageFolder, TheKeyIsTheContentWhereverItLies) {
  TemporaryFolder here, there;
  write_image_folder(here);
  write_image_folder(there);
  const DatasetIndex index = index_dataset(images_in(here), 1);
  EXPECT_EQ(index_dataset(images_in(there), 1).key, index.key);
  there.write("train/cat/0.jpg", jpeg_of(8, 8, 201, 200, 20));
  EXPECT_NE(index_dataset(images_in(there), 1).key, index.key);
  write_image_folder(there);
  std::filesystem::rename(there.path() / "train/cat/0.jpg", there.path() / "train/cat/9.jpg");  // another order
  EXPECT_NE(index_dataset(images_in(there), 1).key, index.key);
}

TEST(ImageFolder, IsResizedOnRequestAndOtherwiseOfOneSize) {
  TemporaryFolder folder;
  test::write_image_folder(folder, 3, 1, 8, 8);
  folder.write("train/dog/1.jpg", jpeg_of(4, 12, 9, 9, 9));
  DataSpec data = images_in(folder);
  try {
    index_dataset(data, 1);
    FAIL() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("train/dog/1.jpg: expected an image of height 8 and width 8 as " +
                                        (folder.path() / "train/cat/0.jpg").string() + ", found 4 and 12"));
    EXPECT_THAT(error.what(), HasSubstr("write data.size: [8, 8]"));
  }
  data.size = {5, 7};
  const DatasetIndex index = index_dataset(data, 1);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{3, 5, 7}));
  const auto train = decoded(index, Split::kTrain);
  EXPECT_NEAR(train.pixels[4 * 5 * 7 * 3], 9, 1) << "sample 4 is dog/1.jpg";
}

TEST(ImageFolder, AnyNumberOfThreadsFindsTheSame) {
  TemporaryFolder folder;
  test::write_image_folder(folder, 60, 10);
  cpu_set_t all, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  CPU_ZERO(&one);
  for (int core = 0; core < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++core)
    if (CPU_ISSET(core, &all)) CPU_SET(core, &one);
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "this process may use one core only";
  std::int64_t done = 0, of = 0;
  const DatasetIndex many = index_dataset(images_in(folder), 1, host_memory_bytes(), [&](auto now, auto total) {
    EXPECT_GT(now, done);
    std::tie(done, of) = std::tuple(now, total);
  });
  EXPECT_EQ(done, of);
  EXPECT_EQ(done, many.train_count + many.test_count);
  const auto pixels = decoded(many, Split::kTrain);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const DatasetIndex single = index_dataset(images_in(folder), 1);
  const auto again = decoded(single, Split::kTrain);
  ASSERT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
  EXPECT_EQ(single, many);
  EXPECT_EQ(again, pixels);
}

TEST(ImageFolder, TheIndexTravelsWithoutItsManifest) {
  TemporaryFolder folder;
  test::write_image_folder(folder, 40, 3);
  const DatasetIndex index = index_dataset(images_in(folder), 1);
  const std::string json = to_json(index).dump();
  EXPECT_LT(json.size(), 1500U);
  EXPECT_THAT(json, testing::Not(HasSubstr("train/cat")));
  DatasetIndex again = dataset_index_from_json(parse_json(json, "index"));
  EXPECT_EQ(again, index);
  EXPECT_EQ(manifest_of(again), "");
  const std::string manifest = manifest_of(index);
  std::string other = manifest;
  other.back() = ' ';
  EXPECT_THROW(attach_manifest(again, other), IoError);
  EXPECT_THROW(attach_manifest(again, ""), IoError);
  attach_manifest(again, manifest);
  EXPECT_EQ(*again.images.manifest, *index.images.manifest);
  EXPECT_EQ(decoded(again, Split::kTest), decoded(index, Split::kTest));
}

TEST(ImageFolder, AnIndexThatContradictsItselfNamesTheKey) {
  TemporaryFolder folder;
  test::write_image_folder(folder);
  const Json good = to_json(index_dataset(images_in(folder), 1));
  struct Contradiction {
    std::string pointer, value, message;
  };
  for (const auto& [pointer, value, message] : std::vector<Contradiction>{
           {"/sample_shape", "[1, 8, 8]", "sample_shape: expected 3 channels"},
           {"/sample_shape", "[8]", "sample_shape: expected [channels, height, width]"},
           {"/files/folder", "\"pets\"", "files.folder: expected an absolute path"},
           {"/files/count", "13", "files.count: expected as many as there are samples, found 13"},
           {"/files/bytes", "0", "bytes: expected at least 1"},
           {"/files", "[]", "folder"},
           {"/files/xxh3", "\"x\"", "key: expected"}}) {
    Json json = good;
    json[Json::json_pointer(pointer)] = Json::parse(value);
    try {
      dataset_index_from_json(json);
      ADD_FAILURE() << pointer << " = " << value << ": accepted";
    } catch (const IoError& error) {
      EXPECT_THAT(error.what(), HasSubstr(message)) << pointer << " = " << value;
    }
  }
}

TEST(ImageFolder, ChangesAfterIndexingAreFound) {
  TemporaryFolder folder;
  test::write_image_folder(folder);
  const DatasetIndex index = index_dataset(images_in(folder), 1);
  const std::string file = "train/dog/1.jpg", good = jpeg_of(8, 8, 21, 21, 201);
  std::string flipped = good;
  flipped[good.size() / 2] ^= 1;
  struct Change {
    std::string content, found;
  };
  for (const auto& [content, found] : std::vector<Change>{{jpeg_of(8, 8, 99, 1, 1), "found "},
                                                          {good + "tail", "found more"},
                                                          {good.substr(0, good.size() - 1), "found "},
                                                          {flipped, "found "},
                                                          {"", "found 0 bytes"}}) {
    folder.write(file, content);
    try {
      decoded(index, Split::kTrain);
      ADD_FAILURE() << "accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(),
                  HasSubstr((folder.path() / file).string() + ": changed after it was indexed: expected " +
                            std::to_string(good.size()) + " bytes, xxh3 "));
      EXPECT_THAT(error.what(), HasSubstr(found));
      EXPECT_THAT(error.what(), HasSubstr("\n  leave the data alone"));
    }
  }
  std::filesystem::remove(folder.path() / file);
  const auto reader = open_samples(index, 1, Split::kTrain);
  std::vector<std::uint8_t> pixels(8 * 8 * 3);
  EXPECT_EQ(reader->read(4, pixels.data()), 1);  // dog/0.jpg
  try {
    reader->read(5, pixels.data());
    ADD_FAILURE() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr(file + ": cannot open it: No such file"));
    EXPECT_THAT(error.what(), HasSubstr("it could be read when it was indexed"));
  }
}

}  // namespace
}  // namespace regatta
