// Do the models learn what people train them for? Real pictures and real text, with one rank and with two that agree.
// The data are not in this repository: they are looked for in $REGATTA_SHARED/data, else in ../shared/data.

#include <array>
#include <cmath>

#include "common/files.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

constexpr const char* kRows =
    "configurations:\n  - {name: one, pool: here, ranks: 1}\n  - {name: two, pool: here, ranks: 2}\n";

fs::path shared_data() {
  const char* shared = std::getenv("REGATTA_SHARED");
  return fs::path(shared != nullptr ? shared : REGATTA_SOURCE_DIR "/../shared") / "data";
}

class LearningLong : public SystemTest {
 protected:
  /// Both rows of the comparison, which agree.
  Json rows_of(const std::string& job) {
    const Json comparison = run_json(job);
    EXPECT_EQ(comparison.at("verdict").at("agreement").at("result"), "agree") << comparison.at("verdict");
    return comparison.at("configurations");
  }

 private:
  Json run_json(const std::string& job) {
    const auto result = regatta({"run", folder_.write("job.yaml", job), "--json", "--quiet"}, std::chrono::minutes(18));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return parse_json(result.out, "the comparison");
  }
};

/// The first `count` pictures of each class, so that the test takes minutes.
void take_pictures(const fs::path& from, const fs::path& to, int count) {
  for (const auto& entry : fs::directory_iterator(from)) {
    std::vector<fs::path> files;
    for (const auto& file : fs::directory_iterator(entry)) files.push_back(file.path());
    std::sort(files.begin(), files.end());
    files.resize(static_cast<std::size_t>(count));
    fs::create_directories(to / entry.path().filename());
    for (const auto& file : files) fs::copy_file(file, to / entry.path().filename() / file.filename());
  }
}

TEST_F(LearningLong, Resnet18OnCifarReaches30Percent) {
  const fs::path archive = shared_data() / "cifar10.tar.xz";
  if (!fs::exists(archive)) GTEST_SKIP() << "no " << archive << "; name its folder in $REGATTA_SHARED";
  const ProcessResult unpacked = run({"tar", "-xJf", archive, "-C", folder_.path()}, {}, std::chrono::minutes(3));
  ASSERT_EQ(unpacked.exit_code, 0) << unpacked.text();
  take_pictures(folder_.path() / "cifar10/train", folder_.path() / "pictures/train", 200);
  take_pictures(folder_.path() / "cifar10/test", folder_.path() / "pictures/test", 50);
  // It begins slowly: at 0.01 rounding alone moves the losses of the first four steps by 1.4e-3.
  const Json rows = rows_of(
      "name: cifar\nmodel: {kind: resnet18}\n"
      "data: {format: imagefolder, path: pictures, augment: [crop, flip]}\n"
      "train:\n  batch: 50\n  optimizer: {kind: sgd, lr: 0.001, momentum: 0.9, weight_decay: 0.0005}\n"
      "  schedule: {kind: one_cycle, max_lr: 0.05}\nstop: {epochs: 3}\n" +
      std::string(kRows));
  for (const Json& row : rows) EXPECT_GE(row.at("test_accuracy").get<double>(), 0.30) << row.at("configuration");
}

/// Of single characters: what a model can reach that knows nothing of their order. Nats.
double unigram_entropy(const std::string& text) {
  std::array<double, 256> counts{};
  for (const char character : text) ++counts[static_cast<unsigned char>(character)];
  double entropy = 0;
  for (const double count : counts)
    if (count > 0)
      entropy -= count / static_cast<double>(text.size()) * std::log(count / static_cast<double>(text.size()));
  return entropy;
}

TEST_F(LearningLong, LstmOnShakespeareBeatsCharacterFrequencies) {
  const fs::path file = shared_data() / "tinyshakespeare.txt";
  if (!fs::exists(file)) GTEST_SKIP() << "no " << file << "; name its folder in $REGATTA_SHARED";
  const std::string text = read_file(file).substr(0, 200'000);
  folder_.write("shakespeare.txt", text);
  rows_of(
      "name: shakespeare\nmodel: {kind: lstm}\ndata: {format: text, path: shakespeare.txt, length: 64}\n"
      "train: {batch: 16, optimizer: {kind: adam, lr: 0.002}}\nstop: {epochs: 1}\n" +
      std::string(kRows));
  for (const RunState& run : runs())
    EXPECT_LE(run.attempts.at(0).epochs.back().test_loss.value(), unigram_entropy(text) - 0.3) << run.configuration;
}

}  // namespace
}  // namespace regatta::test
