// The tree that travels to a machine with a GPU (pack.sh), started from another folder with an empty environment.

#include <gmock/gmock.h>

#include <map>

#include "common/files.hpp"
#include "common/json.hpp"
#include "tests/support/process.hpp"

namespace regatta::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class PackedTree : public testing::Test {
 protected:
  /// Packed under one name and used under another.
  static void SetUpTestSuite() {
    folder_ = new TemporaryFolder();
    const fs::path packed = folder_->path() / "packed";
    const ProcessResult ended =
        run({REGATTA_SOURCE_DIR "/tests/gpu/pack.sh", packed.string(), "--build", REGATTA_BUILD_DIR}, {}, minutes(2));
    ASSERT_EQ(ended.exit_code, 0) << ended.text();
    fs::rename(packed, tree());
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }
  static fs::path tree() { return folder_->path() / "elsewhere"; }
  static Millis minutes(int count) { return std::chrono::minutes(count); }

  /// run.sh with nothing but a PATH; `torch` is the machine's own.
  static ProcessResult in_tree(const std::vector<std::string>& arguments, const std::string& torch = REGATTA_TORCH) {
    std::vector<std::string> argv = {"env", "-i", "PATH=/usr/bin:/bin", "HOME=" + folder_->path().string()};
    if (!torch.empty()) argv.push_back("REGATTA_TORCH=" + torch);
    argv.push_back((tree() / "run.sh").string());
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run(argv, {}, minutes(2));
  }

  static std::string job(const std::string& rows) {
    return folder_->write("job.yaml",
                          "name: packed\nmodel: {kind: mlp, hidden: [16]}\n"
                          "data: {format: synthetic, samples: 640, shape: [1, 8, 8], classes: 4}\n"
                          "train: {batch: 64}\nstop: {epochs: 1}\nconfigurations: [" +
                              rows + "]\n");
  }

  static TemporaryFolder* folder_;
};
TemporaryFolder* PackedTree::folder_ = nullptr;

TEST_F(PackedTree, BringsWhatTheMachineLacks) {
  // Found by LD_LIBRARY_PATH or by the program's own RPATH, $ORIGIN/../lib.
  const auto brings = [](const std::string& library) {
    return testing::AnyOf(HasSubstr(library + " => " + (tree() / "lib").string()),
                          HasSubstr(library + " => " + (tree() / "bin/../lib").string()));
  };
  for (const std::string program : {"bin/regatta-worker", "bin/regatta", "mpi/bin/mpirun"}) {
    const ProcessResult ended = in_tree({"ldd", (tree() / program).string()});
    EXPECT_THAT(ended.out, AllOf(Not(HasSubstr("not found")), Not(HasSubstr(REGATTA_BUILD_DIR)))) << program;
    EXPECT_THAT(ended.out, brings("libhwloc.so.15"));
  }
  const ProcessResult worker = in_tree({"ldd", (tree() / "bin/regatta-worker").string()});
  EXPECT_THAT(worker.out, AllOf(brings("libmpi.so.40"), HasSubstr("libtorch_cpu.so => " REGATTA_TORCH "/lib")));
}

TEST_F(PackedTree, SaysWhatTheMachineCanDo) {
  const ProcessResult doctor = in_tree({"regatta", "doctor"});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.text();
  EXPECT_THAT(doctor.out, HasSubstr("elsewhere/bin/libregatta_cuda.so"));
}

TEST_F(PackedTree, TrainsOnCoresAndRefusesWhatItCannot) {
  const std::string home = (folder_->path() / "home").string();
  const ProcessResult ended = in_tree(
      {"regatta", "run", job("{name: one, ranks: 1}, {name: two, ranks: 2}, {name: gpu, backend: nccl, ranks: 1}"),
       "--home", home});
  EXPECT_THAT(ended.err, Not(HasSubstr("help file"))) << "Open MPI finds its own files";
  for (const auto& entry : fs::directory_iterator(home + "/runs")) {
    const Json result = parse_json(read_file(entry.path() / "result.json"), "result.json");
    EXPECT_EQ(result["status"], "done") << ended.text();
  }
  const Json all = parse_json(in_tree({"regatta", "compare", "--json", "--home", home}).out, "compare");
  std::map<std::string, std::string> status;
  for (const Json& row : all["configurations"])
    status[row["configuration"].get<std::string>()] = row["status"].get<std::string>();
  EXPECT_EQ(status["one"], "done");
  EXPECT_EQ(status["two"], "done") << "over the packed Open MPI\n" << ended.text();
  if (fs::exists("/proc/driver/nvidia")) GTEST_SKIP() << "this machine has a driver: checks.sh says the rest";
  EXPECT_EQ(status["gpu"], "refused");
  EXPECT_THAT(ended.text(), HasSubstr("no driver of NVIDIA's is loaded"));
}

TEST_F(PackedTree, SaysWhereItLookedForTorch) {
  const ProcessResult ended = in_tree({"regatta", "doctor"}, "/nowhere/torch");
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("/nowhere/torch/lib/libtorch_cpu.so"), HasSubstr("REGATTA_TORCH=FOLDER")));
}

TEST_F(PackedTree, ItsChecksReadAsPython) {
  const ProcessResult ended = in_tree({"python3", (tree() / "checks.py").string(), "--help"});
  EXPECT_EQ(ended.exit_code, 0) << ended.text();
  for (const std::string check : {"agree", "fp64", "seeds", "throughput", "table", "faults"})
    EXPECT_THAT(ended.out, HasSubstr(check));
}

TEST_F(PackedTree, ItsJobsAreGood) {
  for (const std::string model : {"mlp", "cnn", "resnet18", "lstm"}) {
    const ProcessResult ended =
        in_tree({"regatta", "run", (tree() / "jobs" / (model + ".yaml")).string(), "--set",
                 model == "lstm" ? "data={format: synthetic, samples: 640, length: 8, vocabulary: 9}"
                                 : "data={format: synthetic, samples: 640, shape: [3, 8, 8], classes: 4}",
                 "--only", "cpu", "--dry-run"});
    EXPECT_EQ(ended.exit_code, 0) << model << ended.text();
  }
}

}  // namespace
}  // namespace regatta::test
