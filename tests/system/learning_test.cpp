// Do the models learn what people train them for? Real pictures and real text, with one rank and with two that agree.
// The data are not in this repository: they are looked for in $REGATTA_SHARED/data, else in ../shared/data.

#include <array>
#include <cmath>
#include <cstdio>
#include <map>

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

/// So many of each class, in TO/pictures/{train,test}.
void unpack_cifar(const fs::path& archive, const fs::path& to, int train, int test) {
  const ProcessResult unpacked = run({"tar", "-xJf", archive, "-C", to}, {}, std::chrono::minutes(3));
  ASSERT_EQ(unpacked.exit_code, 0) << unpacked.text();
  take_pictures(to / "cifar10/train", to / "pictures/train", train);
  take_pictures(to / "cifar10/test", to / "pictures/test", test);
}

TEST_F(LearningLong, Resnet18OnCifarReaches30Percent) {
  const fs::path archive = shared_data() / "cifar10.tar.xz";
  if (!fs::exists(archive)) GTEST_SKIP() << "no " << archive << "; name its folder in $REGATTA_SHARED";
  unpack_cifar(archive, folder_.path(), 200, 50);
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

/// bf16 against fp32 at two ranks, seed by seed.
class PrecisionLong : public SystemTest {
 protected:
  /// `job` without its configurations. `tolerance` in points of accuracy, of the mean over the seeds.
  void expect_bf16_learns_as_well(const std::string& job, double tolerance) {
    constexpr int kSeeds = 5;
    folder_.write("job.yaml", job +
                                  "configurations:\n  - {name: fp32, ranks: 2}\n"
                                  "  - {name: bf16, ranks: 2, train: {precision: bf16}}\n");
    std::vector<double> differences;  // in points
    for (int seed = 1; seed <= kSeeds; ++seed) {
      const auto result = regatta({"run", (folder_.path() / "job.yaml").string(), "--json", "--quiet", "--set",
                                   "train.seed=" + std::to_string(seed)},
                                  std::chrono::minutes(30));
      ASSERT_TRUE(result.exit_code == 0) << result.err;
      std::map<std::string, double> accuracy;
      const Json comparison = parse_json(result.out, "the comparison");
      for (const Json& row : comparison.at("configurations"))
        accuracy[row.at("configuration").get<std::string>()] = 100 * row.at("test_accuracy").get<double>();
      differences.push_back(accuracy.at("bf16") - accuracy.at("fp32"));
      std::printf("seed %d: fp32 %.2f %%, bf16 %.2f %%\n", seed, accuracy.at("fp32"), accuracy.at("bf16"));
    }
    double mean = 0, squares = 0;
    for (const double difference : differences) mean += difference / kSeeds;
    for (const double difference : differences) squares += (difference - mean) * (difference - mean);
    std::printf("bf16 - fp32: %+.2f points, deviation %.2f over %d seeds\n", mean, std::sqrt(squares / (kSeeds - 1)),
                kSeeds);
    EXPECT_LE(std::abs(mean), tolerance);
  }
};

TEST_F(PrecisionLong, Bf16LearnsMnistAsWell) {
  expect_bf16_learns_as_well("name: digits\nmodel: {kind: mlp, hidden: [256]}\ndata: {format: idx, path: " +
                                 std::string(REGATTA_SOURCE_DIR "/jobs/examples/data/mnist") +
                                 "}\ntrain: {batch: 128, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}}\n"
                                 "stop: {epochs: 3}\n",
                             0.3);
}

TEST_F(PrecisionLong, Bf16LearnsCifarAsWell) {
  const fs::path archive = shared_data() / "cifar10.tar.xz";
  if (!fs::exists(archive)) GTEST_SKIP() << "no " << archive << "; name its folder in $REGATTA_SHARED";
  unpack_cifar(archive, folder_.path(), 200, 200);
  expect_bf16_learns_as_well(
      "name: cifar\nmodel: {kind: resnet18}\ndata: {format: imagefolder, path: pictures, augment: [crop, flip]}\n"
      "train:\n  batch: 50\n  optimizer: {kind: sgd, lr: 0.001, momentum: 0.9, weight_decay: 0.0005}\n"
      "  schedule: {kind: one_cycle, max_lr: 0.05}\nstop: {epochs: 4}\n",
      2.5);
}

}  // namespace
}  // namespace regatta::test
