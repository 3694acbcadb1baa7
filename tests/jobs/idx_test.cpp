#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/hash.hpp"
#include "jobs/dataset_index.hpp"
#include "tests/jobs/decoded.hpp"
#include "tests/jobs/idx_data.hpp"

namespace regatta {
namespace {

using test::decoded;
using test::Files;
using test::gzip;
using test::idx_header;
using test::TemporaryFolder;
using test::tiny_idx;
using testing::HasSubstr;

TEST(Idx, MnistIsWhatItsAuthorsPublished) {
  DataSpec data;
  data.path = std::filesystem::path(REGATTA_SOURCE_DIR) / "jobs/examples/data/mnist";
  const DatasetIndex index = index_dataset(data, 1);
  EXPECT_EQ(index.train_count, 60'000);
  EXPECT_EQ(index.test_count, 10'000);
  EXPECT_EQ(index.classes, 10);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{1, 28, 28}));
  // The numbers every tutorial knows as 0.1307 and 0.3081, here from exact rationals.
  EXPECT_NEAR(index.mean[0], 0.13066047627384286, 1e-15);
  EXPECT_NEAR(index.deviation[0], 0.3081078038564627, 1e-15);
  ASSERT_EQ(index.files.size(), 4U);
  EXPECT_EQ(index.files[0].role, "train_images");
  EXPECT_EQ(index.files[0].bytes, 9'719'438);
  for (const auto& file : index.files) EXPECT_EQ(file.xxh3, xxh3_file_hex(file.path));

  const auto train = decoded(index, Split::kTrain), test = decoded(index, Split::kTest);
  EXPECT_THAT(std::vector(train.labels.begin(), train.labels.begin() + 10),
              testing::ElementsAre(5, 0, 4, 1, 9, 2, 1, 3, 1, 4));
  EXPECT_THAT(std::vector(test.labels.begin(), test.labels.begin() + 10),
              testing::ElementsAre(7, 2, 1, 0, 4, 1, 4, 9, 5, 9));
  std::vector<int> of_class(10, 0);
  for (const std::int64_t label : train.labels) ++of_class.at(static_cast<std::size_t>(label));
  EXPECT_THAT(of_class, testing::ElementsAre(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949));
  std::uint64_t sum = 0;
  for (const std::uint64_t pixel : train.pixels) sum += pixel;
  EXPECT_EQ(sum, 1'567'298'545U);
}

TEST(Idx, ReadsTheTinySetByHand) {
  TemporaryFolder folder;
  const DataSpec data = write_idx(folder, tiny_idx());
  const DatasetIndex index = index_dataset(data, 1);
  EXPECT_EQ(index.train_count, 4);
  EXPECT_EQ(index.test_count, 2);
  EXPECT_EQ(index.classes, 3);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{1, 2, 3}));
  EXPECT_DOUBLE_EQ(index.mean[0], 15.0 / 255);
  EXPECT_DOUBLE_EQ(index.deviation[0], std::sqrt(125.0) / 255);  // of 0, 10, 20, 30
  const auto test = decoded(index, Split::kTest);
  EXPECT_EQ(test.pixels, (std::vector<std::uint8_t>{100, 100, 100, 100, 100, 100, 200, 200, 200, 200, 200, 200}));
  EXPECT_THAT(test.labels, testing::ElementsAre(2, 0));
}

TEST(Idx, NamesAndPackingDoNotMatter) {
  TemporaryFolder plain, packed, lying;
  const Files tiny = tiny_idx();
  const DataSpec plain_data = write_idx(plain, tiny);
  const DataSpec packed_data = write_idx(
      packed,
      {{"mnist-train-images-idx3-ubyte.gz", gzip(tiny.at("train-images-idx3-ubyte"))},
       {"train-labels.idx1-ubyte", tiny.at("train-labels-idx1-ubyte")},
       {"train-labels.idx1-ubyte.gz", "beside its raw file and not read"},
       {"test-images-idx3-ubyte.gz", gzip(tiny.at("t10k-images-idx3-ubyte").substr(0, 9)) +
                                         gzip(tiny.at("t10k-images-idx3-ubyte").substr(9))},  // two members, as bgzip
       {"t10k-labels-idx1-ubyte", gzip(tiny.at("t10k-labels-idx1-ubyte"))},                   // gzip without .gz
       {"README", "not data"}});
  // Some browsers unpack while they fetch and keep the name.
  Files unpacked;
  for (const auto& [name, content] : tiny) unpacked[name + ".gz"] = content;
  const DataSpec lying_data = write_idx(lying, unpacked);
  const DatasetIndex index = index_dataset(plain_data, 1);
  for (const DataSpec& data : {packed_data, lying_data}) {
    const DatasetIndex other = index_dataset(data, 1);
    EXPECT_EQ(other.mean, index.mean);
    EXPECT_EQ(other.deviation, index.deviation);
    for (const Split split : {Split::kTrain, Split::kTest}) {
      EXPECT_EQ(decoded(other, split).pixels, decoded(index, split).pixels);
      EXPECT_EQ(decoded(other, split).labels, decoded(index, split).labels);
    }
  }
}

TEST(Idx, TheKeyIsTheContentWhereverItLies) {
  TemporaryFolder here, there;
  Files files = tiny_idx();
  const auto key = index_dataset(write_idx(here, files), 1).key;
  EXPECT_EQ(index_dataset(write_idx(there, files), 1).key, key);
  EXPECT_EQ(key.size(), 32U);
  // Swapping two images keeps every count and sum, and is still another data set.
  std::swap_ranges(files["train-images-idx3-ubyte"].begin() + 16, files["train-images-idx3-ubyte"].begin() + 22,
                   files["train-images-idx3-ubyte"].begin() + 22);
  EXPECT_NE(index_dataset(write_idx(there, files), 1).key, key);
}

struct Damage {
  std::string name;
  std::function<void(Files&)> apply;
  std::vector<std::string> message;  // the file, the position, expected, found, what to do
};

std::vector<Damage> damages() {
  const std::string train_images = "train-images-idx3-ubyte", train_labels = "train-labels-idx1-ubyte",
                    test_images = "t10k-images-idx3-ubyte", test_labels = "t10k-labels-idx1-ubyte";
  const auto set = [](const std::string& file, std::string content) {
    return [file, content](Files& files) { files[file] = content; };
  };
  const auto packed = [](const std::string& file, std::function<void(std::string&)> change) {
    return [file, change](Files& files) {
      std::string content = gzip(files.at(file));
      change(content);
      files[file] = content;
    };
  };
  return {
      {"missing file",
       [=](Files& files) { files.erase(test_labels); },
       {"expected a file t10k-labels-idx1-ubyte", "found none", "four files"}},
      {"two candidates",
       [=](Files& files) { files["fashion-" + train_images] = files[train_images]; },
       {"expected one file", "fashion-train-images", "keep one"}},
      {"empty file", set(train_images, ""), {train_images, "byte 0", "00 00 08 03", "found nothing", "fetch"}},
      {"a page instead of data", set(train_images, "<!DOCTYPE html>"), {train_images, "byte 0", "3c 21 44 4f"}},
      {"labels for images",
       [=](Files& files) { files[train_images] = files[train_labels]; },
       {train_images, "expected the idx magic 00 00 08 03", "found 00 00 08 01", "no idx file of images"}},
      {"wrong type",
       set(train_labels, idx_header({4}, 0x0d) + std::string(16, '\0')),
       {train_labels, "00 00 08 01", "found 00 00 0d 01", "only idx files of uint8"}},
      {"torn header",
       set(train_images, idx_header({4, 2, 3}).substr(0, 10)),
       {"byte 10", "4 bytes of the header", "found 2", "not copied whole"}},
      {"no images", set(test_images, idx_header({0, 2, 3})), {test_images, "byte 4", "at least 1", "found 0"}},
      {"images without width", set(train_images, idx_header({4, 2, 0})), {"byte 12", "at least 1", "found 0"}},
      {"truncated",
       [=](Files& files) { files[train_images].pop_back(); },
       {train_images, "byte 39", "expected 24 bytes of pixels", "found 23"}},
      {"truncated by far",
       [=](Files& files) { files[train_images].resize(20); },
       {"byte 12", "8 x 3 elements", "found 20 bytes"}},
      {"sizes that overflow",
       set(train_images, idx_header({0xffffffff, 0xffffffff, 0xffffffff}) + "x"),
       {"byte 4", "4294967295", "found 17 bytes"}},
      {"a terabyte in 60 packed bytes",
       set(train_images, gzip(idx_header({0x40000000, 28, 28}))),
       {"byte 4", "1073741824"}},
      {"trailing byte",
       [=](Files& files) { files[train_labels] += 'x'; },
       {train_labels, "byte 12", "expected the end", "more bytes"}},
      {"counts differ",
       set(train_labels, idx_header({3}) + std::string{0, 1, 2}),
       {train_labels, "byte 4", "expected 4 labels", train_images, "found 3", "do not belong together"}},
      {"test counts differ",
       set(test_labels, idx_header({3}) + std::string{0, 1, 2}),
       {test_labels, "expected 2 labels", "found 3"}},
      {"test label never trained",
       set(test_labels, idx_header({2}) + std::string{0, 3}),
       {test_labels, "byte 9", "label of sample 1", "expected 0 to 2", "found 3"}},
      {"one class", set(train_labels, idx_header({4}) + std::string(4, '\0')), {train_labels, "at least 2 classes"}},
      {"test images of another size",
       set(test_images, idx_header({2, 3, 2}) + std::string(12, 'x')),
       {test_images, "expected images of 2 x 3", "found 3 x 2"}},
      {"packed, cut short",
       packed(train_images, [](std::string& content) { content.resize(content.size() - 12); }),
       {train_images, "gzip: expected more data", "found the end of the file"}},
      {"packed, checksum cut off",
       packed(train_images, [](std::string& content) { content.resize(content.size() - 8); }),
       {train_images, "byte 40 of the unpacked file", "gzip: expected more data"}},
      {"packed, a bit flipped",
       packed(train_images, [](std::string& content) { content[content.size() - 6] ^= 1; }),
       {train_images, "gzip", "incorrect data check"}},
      {"packed, garbage inside",
       packed(train_labels, [](std::string& content) { content.replace(10, 4, "\xff\xff\xff\xff"); }),
       {train_labels, "gzip: expected deflated data"}},
      {"packed, something appended",
       packed(train_labels, [](std::string& content) { content += "tail"; }),
       {train_labels, "expected the end of the gzip data", "found 4 more bytes"}},
      {"packed, header only", set(train_labels, "\x1f\x8b"), {train_labels, "gzip: expected more data"}},
      {"packed, text under its name",
       [=](Files& files) {
         files.erase(train_labels);
         files[train_labels + ".gz"] = "404 Not Found";
       },
       {train_labels + ".gz", "byte 0", "found 34 30 34 20"}},
  };
}

TEST(Idx, DamageIsSaidPrecisely) {
  for (const Damage& damage : damages()) {
    TemporaryFolder folder;
    Files files = tiny_idx();
    damage.apply(files);
    const DataSpec data = write_idx(folder, files);
    try {
      index_dataset(data, 1);
      ADD_FAILURE() << damage.name << ": accepted";
    } catch (const DataError& error) {
      for (const auto& part : damage.message) EXPECT_THAT(error.what(), HasSubstr(part)) << damage.name;
      EXPECT_THAT(error.what(), HasSubstr(folder.path().string())) << damage.name;
      EXPECT_THAT(error.what(), HasSubstr("\n  ")) << damage.name << ": no advice";
    }
  }
}

TEST(Idx, EveryTruncationIsAnError) {
  for (const bool packed : {false, true}) {
    for (const auto& [name, whole] : tiny_idx()) {
      const std::string content = packed ? gzip(whole) : whole;
      for (std::size_t size = 0; size < content.size(); ++size) {
        TemporaryFolder folder;
        Files files = tiny_idx();
        files[name] = content.substr(0, size);
        EXPECT_THROW(index_dataset(write_idx(folder, files), 1), DataError) << name << " cut to " << size << " bytes";
      }
    }
  }
}

TEST(Idx, MissingFolderIsADataError) {
  DataSpec data;
  data.path = "/nowhere/at/all";
  try {
    index_dataset(data, 1);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("/nowhere/at/all: expected a folder with idx files, found: No such file"));
    EXPECT_THAT(error.what(), HasSubstr("check data.path"));
  }
}

TEST(Idx, ChangesAfterIndexingAreFound) {
  TemporaryFolder folder;
  const DataSpec data = write_idx(folder, tiny_idx());
  const DatasetIndex index = index_dataset(data, 1);
  Files files = tiny_idx();
  files["t10k-labels-idx1-ubyte"].back() = 1;  // still a valid set
  write_idx(folder, files);
  EXPECT_NO_THROW(decoded(index, Split::kTrain));
  try {
    decoded(index, Split::kTest);
    FAIL() << "a changed file was accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("t10k-labels-idx1-ubyte: changed after it was indexed"));
    EXPECT_THAT(error.what(), HasSubstr("expected xxh3 " + index.files[3].xxh3));
  }
}

}  // namespace
}  // namespace regatta
