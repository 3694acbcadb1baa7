// A reader finds the old content or the new, never half of either; what cannot be written is said with its path.
#include "common/files.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include "common/error.hpp"
#include "tests/support/process.hpp"

namespace regatta {
namespace {

using testing::HasSubstr;

class FilesTest : public testing::Test {
 protected:
  const fs::path& folder() const { return folder_.path(); }
  fs::path write(const std::string& name, const std::string& content) const { return folder_.write(name, content); }
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder()), fs::directory_iterator()));
  }

 private:
  test::TemporaryFolder folder_;
};

template <class Call>
void expect_io_error(Call call, const std::string& words) {
  try {
    call();
    ADD_FAILURE() << "no error; expected " << words;
  } catch (const IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr(words));
  }
}

TEST_F(FilesTest, ReadsEveryByte) {
  std::string content;
  for (int i = 0; i < 200'000; ++i) content += static_cast<char>(i * 7);
  EXPECT_EQ(read_file(write("binary", content)), content);
  EXPECT_EQ(read_file(write("empty", "")), "");
}

TEST_F(FilesTest, ReadingSaysWhichFileAndWhy) {
  const std::string missing = folder() / "missing";
  expect_io_error([&] { read_file(missing); }, missing + ": No such file or directory");
  expect_io_error([&] { read_file(folder()); }, "Is a directory");
  const fs::path large = write("large", "12345");
  EXPECT_EQ(read_file(large, 5), "12345");
  expect_io_error([&] { read_file(large, 4); }, "File too large");
  const fs::path pipe = folder() / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  expect_io_error([&] { read_file(pipe); }, "expected a regular file");  // and does not wait for a writer
  expect_io_error([&] { read_file("/dev/zero"); }, "expected a regular file");
}

TEST_F(FilesTest, WritesNewAndReplacesOld) {
  const fs::path path = folder() / "file";
  write_file_atomically(path, "one");
  EXPECT_EQ(read_file(path), "one");
  write_file_atomically(path, "");
  EXPECT_EQ(read_file(path), "");
  EXPECT_EQ(entries(), 1U) << "a temporary file was left";
}

TEST_F(FilesTest, GivesTheModeAskedFor) {
  const fs::path path = folder() / "token";
  write_file_atomically(path, "secret", 0600);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(FilesTest, AFailedWriteLeavesWhatWasThere) {
  const fs::path target = folder() / "target";
  write("target/old", "old");
  expect_io_error([&] { write_file_atomically(target, "new"); }, "cannot rename to " + target.string());
  EXPECT_EQ(read_file(target / "old"), "old");
  EXPECT_EQ(entries(), 1U) << "a temporary file was left";
  const fs::path nowhere = folder() / "no" / "file";
  expect_io_error([&] { write_file_atomically(nowhere, "new"); }, nowhere.string());
}

TEST_F(FilesTest, AReaderNeverSeesAMixture) {
  const fs::path path = write("file", std::string(100'000, 'a'));
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 40; ++i) write_file_atomically(path, std::string(100'000, i % 2 == 0 ? 'b' : 'a'));
    done = true;
  });
  int reads = 0, mixtures = 0;
  do {
    const std::string content = read_file(path);
    if (content != std::string(100'000, content.empty() ? 'x' : content[0])) ++mixtures;
    ++reads;
  } while (!done);
  writer.join();
  EXPECT_EQ(mixtures, 0) << "in " << reads << " reads";
}

TEST_F(FilesTest, AppendsWholeLines) {
  const fs::path path = write("journal", "first\n");
  {
    AppendFile file(path);
    file.append("second");
    file.append("");
  }
  EXPECT_EQ(read_file(path), "first\nsecond\n\n");
}

TEST_F(FilesTest, ExclusiveMeansNew) {
  const fs::path path = folder() / "journal";
  AppendFile(path, true).append("mine");
  expect_io_error([&] { const AppendFile other(path, true); }, path.string() + ": File exists");
  EXPECT_EQ(read_file(path), "mine\n");
}

TEST_F(FilesTest, AFullDiskIsSaid) {
  AppendFile file("/dev/full");
  expect_io_error([&] { file.append("line"); }, "/dev/full: No space left on device");
}

/// Files of this process end at `bytes` while it lives; writing beyond fails with EFBIG after what still fits, as on a
/// disk that fills up.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limited{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &limited), 0);
  }
  ~FileSizeLimit() {
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0);
    ::signal(SIGXFSZ, SIG_DFL);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit before_{};
};

TEST_F(FilesTest, ALineThatDoesNotFitLeavesNoPart) {
  const fs::path path = write("journal", "older\n");
  AppendFile file(path);
  file.append("first");
  {
    const FileSizeLimit limit(20);
    expect_io_error([&] { file.append("a line of many bytes"); }, path.string() + ": File too large");
  }
  EXPECT_EQ(read_file(path), "older\nfirst\n");
  file.append("last");
  EXPECT_EQ(read_file(path), "older\nfirst\nlast\n");
}

TEST_F(FilesTest, AfterAPartThatStaysNothingIsWritten) {
  const fs::path path = folder() / "pipe";  // knows neither fdatasync nor ftruncate
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  {
    AppendFile file(path);
    expect_io_error([&] { file.append("first"); }, "cannot fsync " + path.string());
    expect_io_error([&] { file.append("second"); }, path.string() + ": the end of an earlier record");
  }
  std::array<char, 100> buffer{};
  const ssize_t got = ::read(reader, buffer.data(), buffer.size());
  ::close(reader);
  EXPECT_EQ(std::string(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0), "first\n");
}

}  // namespace
}  // namespace regatta
