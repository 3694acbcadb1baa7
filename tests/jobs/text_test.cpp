#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/hash.hpp"
#include "jobs/dataset_index.hpp"
#include "tests/jobs/decoded.hpp"
#include "tests/jobs/idx_data.hpp"

namespace regatta {
namespace {

using test::decoded;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

DataSpec text_of(const TemporaryFolder& folder, const std::string& content, std::int64_t length) {
  folder.write("a.txt", content);
  DataSpec data;
  data.format = DataFormat::kText;
  data.path = folder.path() / "a.txt";
  data.length = length;
  return data;
}

TEST(Text, WindowsFollowEachOtherAndShareOneCharacter) {
  TemporaryFolder folder;
  // Alphabet: '\n' ' ' 'a' 'b' 'c' = 0 1 2 3 4. Windows of 3: "abc" "ab " "a\nc"; the last two characters are unused.
  const DatasetIndex index = index_dataset(text_of(folder, "abcab a\ncbb", 3), 1);
  EXPECT_EQ(index.alphabet, "\n abc");
  EXPECT_EQ(index.classes, 5);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{3}));
  EXPECT_EQ(index.sample_bytes(), 4);
  EXPECT_EQ(index.targets_per_sample(), 3);
  EXPECT_TRUE(index.mean.empty());
  EXPECT_EQ(index.train_count, 2);
  EXPECT_EQ(index.test_count, 1);
  ASSERT_EQ(index.files.size(), 1U);
  EXPECT_EQ(index.files[0].xxh3, xxh3_file_hex(folder.path() / "a.txt"));
  const auto train = decoded(index, Split::kTrain), test = decoded(index, Split::kTest);
  EXPECT_THAT(train.pixels, ElementsAre(2, 3, 4, 2, 2, 3, 1, 2));  // abc>a, ab >a
  EXPECT_THAT(train.labels, ElementsAre(0, 0));
  EXPECT_THAT(test.pixels, ElementsAre(2, 0, 4, 3));  // a\nc>b
}

TEST(Text, TheLastTenthIsTheTestSet) {
  TemporaryFolder folder;
  std::string content;
  for (int i = 0; i < 1001; ++i) content += static_cast<char>(i * 7 % 256);  // all 256 bytes
  const DatasetIndex index = index_dataset(text_of(folder, content, 10), 1);
  EXPECT_EQ(index.classes, 256);
  EXPECT_EQ(index.train_count, 90);
  EXPECT_EQ(index.test_count, 10);
  const auto test = decoded(index, Split::kTest);
  for (int i = 0; i < 11; ++i) EXPECT_EQ(test.pixels[static_cast<std::size_t>(i)], (900 + i) * 7 % 256);
  for (const Split split : {Split::kTrain, Split::kTest})
    EXPECT_EQ(test::read_backwards(index, split), decoded(index, split));
  EXPECT_EQ(dataset_index_from_json(parse_json(to_json(index).dump(), "index")), index);
}

TEST(Text, OneSuccessorMoreMakesAWindowMore) {
  TemporaryFolder folder;
  EXPECT_EQ(index_dataset(text_of(folder, "abababa", 2), 1).train_count, 2);  // 3 windows and their successor
  EXPECT_EQ(index_dataset(text_of(folder, "ababab", 2), 1).train_count, 1);   // the third has none
}

TEST(Text, GzipIsReadAsItsContent) {
  TemporaryFolder raw, packed;
  const std::string content = "to be or not to be, that is the question";
  const DatasetIndex plain = index_dataset(text_of(raw, content, 4), 1);
  const DatasetIndex index = index_dataset(text_of(packed, test::gzip(content), 4), 1);
  EXPECT_EQ(index.alphabet, plain.alphabet);
  for (const Split split : {Split::kTrain, Split::kTest}) EXPECT_EQ(decoded(index, split), decoded(plain, split));
  EXPECT_TRUE(can_read_samples(plain));
  EXPECT_FALSE(can_read_samples(index));
}

TEST(Text, WhatCannotBeLearnedIsOneClearMessage) {
  struct Case {
    std::string content;
    std::int64_t length;
    std::vector<std::string> message;
  };
  for (const auto& [content, length, message] : std::vector<Case>{
           {"", 4, {"at least 2 different characters", "found 0 characters", "another file"}},
           {"x", 4, {"at least 2 different characters", "found 1 character\n"}},
           {std::string(100, 'x'), 4, {"at least 2 different characters", "found 100 characters, all of them equal"}},
           {"abababab", 4, {"expected at least 9 characters", "data.length 4", "found 8", "smaller data.length"}}}) {
    TemporaryFolder folder;
    try {
      index_dataset(text_of(folder, content, length), 1);
      ADD_FAILURE() << content << ": accepted";
    } catch (const DataError& error) {
      for (const auto& part : message) EXPECT_THAT(error.what(), HasSubstr(part));
      EXPECT_THAT(error.what(), HasSubstr((folder.path() / "a.txt").string()));
      EXPECT_THAT(error.what(), HasSubstr("\n  "));
    }
  }
}

TEST(Text, MissingFileAndFolderAreDataErrors) {
  TemporaryFolder folder;
  DataSpec data = text_of(folder, "abc", 1);
  for (const auto& [path, why] : {std::pair{folder.path() / "b.txt", "No such file"}, {folder.path(), "directory"}}) {
    data.path = path;
    try {
      index_dataset(data, 1);
      ADD_FAILURE() << path << ": accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
      EXPECT_THAT(error.what(), HasSubstr(why));
      EXPECT_THAT(error.what(), HasSubstr("check data.path"));
    }
  }
}

TEST(Text, ChangesAfterIndexingAreFound) {
  TemporaryFolder folder;
  const DatasetIndex index = index_dataset(text_of(folder, "hello, hello, hello", 3), 1);
  for (const std::string content : {"hello, hallo, hello", "hello", "hello, h3llo, hello", ""}) {
    folder.write("a.txt", content);
    for (const Split split : {Split::kTrain, Split::kTest}) {
      try {
        decoded(index, split);
        ADD_FAILURE() << content << ": accepted";
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr("a.txt: changed after it was indexed: expected xxh3 " + index.files[0].xxh3));
      }
    }
    EXPECT_THROW(expect_unchanged(index), DataError);
  }
}

}  // namespace
}  // namespace regatta
