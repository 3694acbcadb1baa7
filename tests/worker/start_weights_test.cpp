// A run that starts from another run's weights, by real workers.

#include "common/files.hpp"
#include "common/hash.hpp"
#include "jobs/safetensors.hpp"
#include "tests/worker/worker_runs.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class StartWeightsRuns : public WorkerRuns {
 protected:
  /// Four steps of a small resnet18; the rate of a run that keeps its parameters is 1e-30.
  fs::path resnet(const std::string& name, const std::string& more, double lr) {
    return folder_.write(name, R"(name: small
model: {kind: resnet18, channels: [3, 4, 5, 6])" +
                                   more + R"(}
data: {format: synthetic, samples: 128, shape: [2, 12, 12], classes: 4}
train: {batch: 32, optimizer: {lr: )" +
                                   std::to_string(lr) +
                                   R"(}}
stop: {epochs: 1}
configurations:
  - {name: one, ranks: 1}
  - {name: two, ranks: 2}
)");
  }

  /// A first run in RUN_DIR/../first, and its weights.
  fs::path first_weights() {
    const fs::path first = folder_.path() / "first";
    const ProcessResult ended =
        run({worker(), resnet("first.yaml", "", 0.05).string(), "--run-dir", first.string()}, options_);
    EXPECT_EQ(ended.exit_code, 0) << ended.text();
    return first / "weights.safetensors";
  }
};

TEST_F(StartWeightsRuns, EveryRankBeginsWithTheFile) {
  const fs::path start = first_weights();
  const SafetensorsFile expected = read_safetensors(start);
  for (const int ranks : {1, 2}) {
    fs::remove_all(run_dir());
    const fs::path job = resnet("job.yaml", ", weights: first/weights.safetensors", 0);
    std::string text = read_file(job);
    text.replace(text.find("lr: 0.000000"), 12, "lr: 1e-30");
    folder_.write("job.yaml", text);
    const ProcessResult ended =
        run(ranks == 1 ? std::vector<std::string>{worker(), job.string(), "--run-dir", run_dir().string()}
                       : launch(ranks, worker(), {job.string()}),
            options_);
    ASSERT_EQ(ended.exit_code, 0) << ended.text();
    const SafetensorsFile found = read_safetensors(run_dir() / "weights.safetensors");
    ASSERT_EQ(found.tensors.size(), expected.tensors.size());
    for (std::size_t i = 0; i < found.tensors.size(); ++i) {
      const TensorView &a = found.tensors[i], &b = expected.tensors[i];
      ASSERT_EQ(a.name, b.name);
      if (a.name.find("running_") != std::string::npos) continue;  // it goes on moving
      if (a.dtype == "I64")
        EXPECT_EQ(std::to_integer<int>(a.bytes[0]), 8) << a.name << " counts four batches and four more";
      else
        EXPECT_TRUE(std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end())) << a.name;
    }
    EXPECT_EQ(std::get<record::Start>(journal().at(0).body).weights_xxh3, xxh3_file_hex(start));
  }
}

TEST_F(StartWeightsRuns, AFileThatChangedIsRefusedOnAllRanks) {
  const fs::path start = first_weights();
  const ProcessResult ended = run({worker(), resnet("job.yaml", ", weights: first/weights.safetensors", 0.1).string(),
                                   "--run-dir", run_dir().string()},
                                  options_);
  ASSERT_EQ(ended.exit_code, 0) << ended.text();
  std::string bytes = read_file(start);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomically(start, bytes);
  Json plan = parse_json(read_file(run_dir() / "attempt-1/plan.json"), "plan");
  fs::remove_all(run_dir());
  const ProcessResult again =
      run({worker(), "--plan", folder_.write("plan.json", plan.dump()).string(), "--run-dir", run_dir().string()},
          options_);
  EXPECT_EQ(again.exit_code, static_cast<int>(ExitCode::kData)) << again.text();
  EXPECT_THAT(again.err, HasSubstr("changed after it was indexed"));
}

TEST_F(StartWeightsRuns, AnotherModelsFileIsRefusedBeforeAnythingStarts) {
  first_weights();
  std::string text = read_file(resnet("job.yaml", ", weights: first/weights.safetensors", 0.1));
  text.replace(text.find("5, 6]"), 5, "5, 7]");
  const ProcessResult ended =
      run({worker(), folder_.write("job.yaml", text).string(), "--run-dir", run_dir().string()}, options_);
  EXPECT_EQ(ended.exit_code, static_cast<int>(ExitCode::kBadConfig)) << ended.text();
  EXPECT_THAT(ended.err, AllOf(HasSubstr("body.6.c1.weight: expected floats (7, 5, 3, 3), found F32 (6, 5, 3, 3)"),
                               HasSubstr("job.yaml:2:")));
  EXPECT_FALSE(fs::exists(run_dir()));
}

}  // namespace
}  // namespace regatta::test
