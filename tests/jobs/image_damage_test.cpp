#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "jobs/dataset_index.hpp"
#include "tests/support/image_files.hpp"

namespace regatta {
namespace {

namespace fs = std::filesystem;
using test::jpeg_of;
using test::TemporaryFolder;
using testing::HasSubstr;
using testing::Not;

DataSpec folder_of(const TemporaryFolder& folder, OnError on_error = OnError::kFail) {
  DataSpec data;
  data.format = DataFormat::kImageFolder;
  data.path = folder.path();
  data.on_error = on_error;
  return data;
}

std::string refusal_of(const DataSpec& data) {
  try {
    index_dataset(data, 1);
  } catch (const DataError& error) {
    return error.what();
  }
  return "accepted";
}

struct FolderDamage {
  std::string name;
  std::function<void(const TemporaryFolder&)> apply;
  std::vector<std::string> message;
};

/// To a folder of 4 + 4 training and 2 + 2 test images.
std::vector<FolderDamage> file_damages() {
  const auto write = [](const std::string& file, const std::string& content) {
    return [=](const TemporaryFolder& folder) { folder.write(file, content); };
  };
  const std::string file = "train/cat/2.jpg", good = jpeg_of(8, 8, 1, 2, 3);
  const auto instead = [file](const std::function<void(const std::string&)>& make) {
    return [=](const TemporaryFolder& folder) {
      fs::remove(folder.path() / file);
      make((folder.path() / file).string());
    };
  };
  return {
      {"zero bytes", write(file, ""), {file + ": expected JPEG or PNG, found an empty file"}},
      {"text", write(file, "<html>404 Not Found</html>"), {file + ": expected JPEG or PNG, found text"}},
      {"truncated", write(file, good.substr(0, good.size() - 40)), {file + ": "}},
      {"a header alone", write(file, good.substr(0, 30)), {file + ": "}},
      {"too large an image",
       write(file, test::jpeg_that_claims(30'000, 30'000)),
       {file + ": expected at most 100000000 pixels, found 30000 x 30000"}},
      {"a symlink loop",
       instead([](const std::string& path) { fs::create_symlink(path, path); }),
       {file + ": cannot open it: Too many levels of symbolic links"}},
      {"a dangling symlink",
       instead([](const std::string& path) { fs::create_symlink("/nowhere", path); }),
       {file + ": cannot open it: No such file"}},
      {"a named pipe",
       instead([](const std::string& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0644), 0); }),
       {file + ": expected a regular file, found a pipe or a device"}},
      {"a folder",
       instead([](const std::string& path) { fs::create_directory(path); }),
       {file + ": expected a file, found a folder"}},
  };
}

TEST(ImageDamage, OfAFileIsOneClearMessage) {
  for (const auto& damage : file_damages()) {
    TemporaryFolder folder;
    write_image_folder(folder);
    damage.apply(folder);
    const std::string message = refusal_of(folder_of(folder));
    for (const auto& part : damage.message)
      EXPECT_THAT(message, HasSubstr(folder.path().string() + "/" + part)) << damage.name;
    EXPECT_THAT(message, HasSubstr("\n  replace or remove it, or write data.on_error: skip")) << damage.name;
    EXPECT_THAT(message, Not(HasSubstr(" more"))) << damage.name;
  }
}

TEST(ImageDamage, OfAFileIsLeftOutOnRequest) {
  TemporaryFolder whole;
  write_image_folder(whole);
  fs::remove(whole.path() / "train/cat/2.jpg");
  const DatasetIndex without = index_dataset(folder_of(whole), 1);
  for (const auto& damage : file_damages()) {
    TemporaryFolder folder;
    write_image_folder(folder);
    damage.apply(folder);
    const DatasetIndex index = index_dataset(folder_of(folder, OnError::kSkip), 1);
    EXPECT_EQ(index.skipped, 1) << damage.name;
    EXPECT_EQ(index.train_count, 7) << damage.name;
    EXPECT_EQ(index.mean, without.mean) << damage.name;
    EXPECT_EQ(index.images.xxh3, without.images.xxh3) << damage.name;
    EXPECT_THAT(skipped_words(index), HasSubstr("1 damaged file left out: " + damage.message[0])) << damage.name;
  }
}

TEST(ImageDamage, IsCounted) {
  TemporaryFolder folder;
  write_image_folder(folder);
  for (const std::string file : {"train/dog/0.jpg", "train/cat/3.jpg", "test/cat/1.jpg", "test/dog/0.jpg"})
    folder.write(file, "text");
  EXPECT_THAT(refusal_of(folder_of(folder)),
              HasSubstr("train/cat/3.jpg: expected JPEG or PNG, found text; 3 more of 12 files are damaged\n"));
  const DatasetIndex index = index_dataset(folder_of(folder, OnError::kSkip), 1);
  EXPECT_EQ(index.skipped, 4);
  EXPECT_EQ(index.train_count, 6);
  EXPECT_EQ(index.test_count, 2);
  const std::string why = ": expected JPEG or PNG, found text";
  EXPECT_EQ(skipped_words(index), "4 damaged files left out: train/cat/3.jpg" + why + "; train/dog/0.jpg" + why +
                                      "; test/cat/1.jpg" + why + "; and 1 more");
  const DatasetIndex again = dataset_index_from_json(to_json(index));
  EXPECT_EQ(skipped_words(again), skipped_words(index));
}

TEST(ImageDamage, OfMoreThanHalfIsAnErrorAnyway) {
  TemporaryFolder folder;
  write_image_folder(folder, 2, 1);  // 6 files
  for (const std::string file : {"train/cat/0.jpg", "train/dog/0.jpg", "test/cat/0.jpg"}) folder.write(file, "text");
  EXPECT_EQ(index_dataset(folder_of(folder, OnError::kSkip), 1).skipped, 3);
  folder.write("test/dog/0.jpg", "text");
  EXPECT_THAT(refusal_of(folder_of(folder, OnError::kSkip)),
              testing::AllOf(HasSubstr("train/cat/0.jpg"), HasSubstr("3 more of 6 files are damaged"),
                             HasSubstr("at most half of the files")));
}

TEST(ImageDamage, ADamagedFirstFileSetsNoSize) {
  TemporaryFolder folder;
  write_image_folder(folder);
  folder.write("train/cat/0.jpg", test::jpeg_that_claims(80, 90));
  const DatasetIndex index = index_dataset(folder_of(folder, OnError::kSkip), 1);
  EXPECT_EQ(index.sample_shape, (std::vector<std::int64_t>{3, 8, 8}));
  EXPECT_EQ(index.skipped, 1);
}

TEST(ImageDamage, OfEverythingIsSaidWithoutASize) {
  TemporaryFolder folder;
  write_image_folder(folder, 2, 1);
  for (const auto& entry : fs::recursive_directory_iterator(folder.path()))
    if (entry.is_regular_file()) folder.write(fs::relative(entry.path(), folder.path()).string(), "text");
  EXPECT_THAT(refusal_of(folder_of(folder)),
              HasSubstr("train/cat/0.jpg: expected JPEG or PNG, found text; 5 more of 6"));
}

TEST(ImageDamage, OfAWholeClassIsAnErrorAnyway) {
  TemporaryFolder folder;
  write_image_folder(folder, 2, 2);
  for (const std::string file : {"train/cat/0.jpg", "train/cat/1.jpg"}) folder.write(file, "text");
  EXPECT_THAT(refusal_of(folder_of(folder, OnError::kSkip)),
              testing::AllOf(HasSubstr("expected at least one undamaged training file of class cat, found none"),
                             HasSubstr("train/cat/0.jpg: expected JPEG")));
}

TEST(ImageDamage, OfTheFoldersIsOneClearMessage) {
  const auto remove = [](const std::string& what) {
    return [=](const TemporaryFolder& folder) { fs::remove_all(folder.path() / what); };
  };
  const auto empty = [](const std::string& what) {
    return [=](const TemporaryFolder& folder) {
      fs::remove_all(folder.path() / what);
      fs::create_directory(folder.path() / what);
    };
  };
  const std::vector<FolderDamage> damages = {
      {"no train", remove("train"), {": expected a folder train, found none", "train/CLASS/ and test/CLASS/"}},
      {"no test", remove("test"), {": expected one of the folders test and val, found none"}},
      {"two tests",
       [](const TemporaryFolder& folder) { fs::create_directory(folder.path() / "val"); },
       {": expected one of the folders test and val, found both", "rename"}},
      {"no folder",
       [](const TemporaryFolder& folder) { fs::remove_all(folder.path()); },
       {"expected a folder that can be read, found: No such file", "check data.path"}},
      {"an empty class", empty("train/dog"), {"/train/dog: expected at least one .jpg", "found an empty folder"}},
      {"an empty test class", empty("test/dog"), {"/test/dog: expected at least one .jpg", "found an empty folder"}},
      {"a class of other files",
       [](const TemporaryFolder& folder) {
         fs::remove_all(folder.path() / "train/dog");
         folder.write("train/dog/a.gif", "GIF89a");
         folder.write("train/dog/b.gif", "GIF89a");
       },
       {"/train/dog: expected at least one .jpg", "found 2 others, such as a.gif"}},
      {"a class missing in test", remove("test/dog"), {"/test: expected the classes of train/, found no folder dog"}},
      {"a class missing in train", remove("train/cat"), {"expected at least 2 folders, one a class, found 1"}},
      {"a class more in test",
       [](const TemporaryFolder& folder) { folder.write("test/eel/1.jpg", "x"); },
       {"/train: expected the classes of test/, found no folder eel"}},
      {"a loop for a class",
       [](const TemporaryFolder& folder) { fs::create_symlink("loop", folder.path() / "train/loop"); },
       {"/test: expected the classes of train/, found no folder loop"}},
      {"a loop for both parts' class",
       [](const TemporaryFolder& folder) {
         fs::create_symlink("loop", folder.path() / "train/loop");
         fs::create_symlink("loop", folder.path() / "test/loop");
       },
       {"/train/loop: expected a folder that can be read, found: Too many levels of symbolic links"}},
      {"a file for the data",
       [](const TemporaryFolder& folder) {
         fs::remove_all(folder.path());
         std::ofstream(folder.path()) << "a file";
       },
       {"expected a folder that can be read, found: Not a directory"}},
  };
  for (const auto& damage : damages) {
    TemporaryFolder folder;
    write_image_folder(folder);
    damage.apply(folder);
    for (const OnError on_error : {OnError::kFail, OnError::kSkip}) {
      const std::string message = refusal_of(folder_of(folder, on_error));
      for (const auto& part : damage.message) EXPECT_THAT(message, HasSubstr(part)) << damage.name;
      EXPECT_THAT(message, HasSubstr(folder.path().string())) << damage.name;
      EXPECT_THAT(message, HasSubstr("\n  ")) << damage.name << ": no advice";
    }
  }
}

/// What `act` says in a process of nobody's, who may read what all may; root may read everything.
std::string as_nobody(const std::function<std::string()>& act) {
  constexpr uid_t kNobody = 65'534;
  int ends[2];
  if (::pipe(ends) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    const bool changed = ::getuid() != 0 || (::setgid(kNobody) == 0 && ::setuid(kNobody) == 0);
    const std::string said = changed ? act() : "cannot become nobody";
    const ssize_t written = ::write(ends[1], said.data(), said.size());
    ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::string said;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(ends[0], buffer, sizeof buffer)) > 0;)
    said.append(buffer, static_cast<std::size_t>(got));
  ::close(ends[0]);
  ::waitpid(child, nullptr, 0);
  return said;
}

TEST(ImageDamage, MissingRightsAreOneClearMessage) {
  TemporaryFolder folder;
  write_image_folder(folder);
  fs::permissions(folder.path(), fs::perms::all);
  const auto read = [&](OnError on_error) {
    return as_nobody([&] { return refusal_of(folder_of(folder, on_error)); });
  };
  const std::string before = read(OnError::kFail);
  if (before == "cannot become nobody") GTEST_SKIP() << before << ": this container does not let root change its user";
  ASSERT_EQ(before, "accepted");

  fs::permissions(folder.path() / "train/dog/1.jpg", fs::perms::none);
  EXPECT_THAT(read(OnError::kFail), HasSubstr("train/dog/1.jpg: cannot open it: Permission denied"));
  EXPECT_EQ(read(OnError::kSkip), "accepted");
  fs::permissions(folder.path() / "train/dog", fs::perms::none);
  for (const OnError on_error : {OnError::kFail, OnError::kSkip})
    EXPECT_THAT(read(on_error),
                testing::AllOf(HasSubstr("train/dog: expected a folder that can be read, found: Permission denied"),
                               HasSubstr("chmod -R u+rX")));
  fs::permissions(folder.path() / "train/dog", fs::perms::owner_read | fs::perms::others_read);  // no right to enter
  EXPECT_THAT(read(OnError::kFail), HasSubstr("train/dog/0.jpg: cannot open it: Permission denied; 3 more"));
  fs::permissions(folder.path() / "train/dog", fs::perms::all);
}

}  // namespace
}  // namespace regatta
