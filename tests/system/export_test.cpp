// `regatta export`: a run's weights as a file of one's own.

#include <fstream>

#include "common/files.hpp"
#include "jobs/safetensors.hpp"
#include "jobs/tensor_cast.hpp"
#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::AllOf, testing::HasSubstr;

class ExportTest : public SystemTest {
 protected:
  void SetUp() override {
    const auto job = folder_.write("job.yaml", tiny_job({kOneCore}, 1));
    ASSERT_EQ(regatta({"run", job, "--quiet"}).exit_code, 0);
    run_ = runs().at(0);
  }
  fs::path out() const { return folder_.path() / "out.safetensors"; }
  fs::path weights() const { return fs::path(run_.run_dir) / "weights.safetensors"; }

  RunState run_;
};

TEST_F(ExportTest, CopiesTheWeights) {
  const auto result = regatta({"export", run_.id.value, "--out", out()});
  ASSERT_EQ(result.exit_code, 0) << result.text();
  EXPECT_THAT(result.out, AllOf(HasSubstr("out.safetensors"), HasSubstr("4 tensors")));
  const SafetensorsFile from = read_safetensors(weights()), to = read_safetensors(out());
  ASSERT_EQ(from.tensors.size(), to.tensors.size());
  for (std::size_t i = 0; i < from.tensors.size(); ++i) {
    EXPECT_EQ(from.tensors[i].name, to.tensors[i].name);
    EXPECT_EQ(from.tensors[i].shape, to.tensors[i].shape);
    EXPECT_TRUE(std::ranges::equal(from.tensors[i].bytes, to.tensors[i].bytes));
  }
  EXPECT_EQ(to.metadata.at("run"), run_.id.value);
  EXPECT_EQ(to.metadata.at("model"), "mlp");
}

TEST_F(ExportTest, CastsThem) {
  const Json said = regatta_json({"export", run_.id.value, "--dtype", "bf16", "--out", out()});
  EXPECT_EQ(said.at("file"), out().string());
  EXPECT_EQ(said.at("bytes"), fs::file_size(out()));
  const SafetensorsFile from = read_safetensors(weights()), to = read_safetensors(out());
  for (std::size_t i = 0; i < from.tensors.size(); ++i) {
    EXPECT_EQ(to.tensors[i].dtype, "BF16");
    EXPECT_TRUE(std::ranges::equal(to.tensors[i].bytes, cast_elements(from.tensors[i], "BF16")));
  }
}

TEST_F(ExportTest, ReplacesNothingUnasked) {
  folder_.write("out.safetensors", "mine");
  const auto refused = regatta({"export", run_.id.value, "--out", out()});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, AllOf(HasSubstr("is there already"), HasSubstr("--force")));
  EXPECT_EQ(read_file(out()), "mine");
  EXPECT_EQ(regatta({"export", run_.id.value, "--out", out(), "--force"}).exit_code, 0);
  const auto folder = regatta({"export", run_.id.value, "--out", folder_.path(), "--force"});
  EXPECT_EQ(folder.exit_code, 2);
  EXPECT_THAT(folder.err, HasSubstr("no regular file"));
}

TEST_F(ExportTest, SaysWhatItCannotExport) {
  EXPECT_EQ(regatta({"export", "nothing"}).exit_code, 1);
  const auto comparison = regatta({"export", run_.comparison->value});
  EXPECT_EQ(comparison.exit_code, 2);
  EXPECT_THAT(comparison.err, AllOf(HasSubstr("is a comparison"), HasSubstr(run_.id.value)));
  EXPECT_EQ(regatta({"export", run_.id.value, "--dtype", "int8"}).exit_code, 2);

  std::fstream(weights(), std::ios::in | std::ios::out | std::ios::binary).seekp(-1, std::ios::end).put('x');
  const auto changed = regatta({"export", run_.id.value, "--out", out()});
  EXPECT_EQ(changed.exit_code, 10);
  EXPECT_THAT(changed.err, HasSubstr("changed since the run"));
  fs::remove(weights());
  EXPECT_EQ(regatta({"export", run_.id.value, "--out", out()}).exit_code, 10);
  EXPECT_FALSE(fs::exists(out()));
}

}  // namespace
}  // namespace regatta::test
