// Did all configurations train the same thing? On MNIST, with real workers, right and wrong ones.

#include "tests/system/system.hpp"

namespace regatta::test {
namespace {

using testing::HasSubstr;

class AgreementTest : public SystemTest {
 protected:
  /// All 60,000 images, one epoch. fp64, so that the layouts differ by rounding only; an mlp, because it is quick.
  std::filesystem::path mnist_job() {
    return folder_.write("mnist.yaml",
                         "name: mnist\nmodel: {kind: mlp, hidden: [64]}\ndata: {format: idx, path: " REGATTA_SOURCE_DIR
                         "/jobs/examples/data/mnist}\n"
                         "train: {batch: 128, precision: fp64, optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}}\n"
                         "stop: {epochs: 1}\nconfigurations:\n"
                         "  - {name: one, pool: here, ranks: 1}\n"
                         "  - {name: two, pool: here, ranks: 2}\n"
                         "  - {name: three, pool: here, ranks: 3}\n");
  }
  std::filesystem::path wide_pool() {
    return folder_.write("cluster.yaml", "pools:\n  here: {launcher: local, oversubscribe: true}\n");
  }
  Json agreement_of(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), "run");
    arguments.insert(arguments.end(), {"--cluster", (folder_.path() / "cluster.yaml").string(), "--quiet"});
    return regatta_json(std::move(arguments)).at("verdict").at("agreement");
  }
};

TEST_F(AgreementTest, OneTwoAndThreeRanksAgreeOnMnist) {
  wide_pool();
  const Json agreement = agreement_of({mnist_job()});
  EXPECT_EQ(agreement.at("result"), "agree") << agreement;
  EXPECT_LT(agreement.at("early_loss_rel").get<double>(), 1e-10);  // fp64: far below the limit of 1e-3
}

class FaultTest : public AgreementTest, public testing::WithParamInterface<const char*> {};

TEST_P(FaultTest, MakesTheTrainingsDiffer) {
  wide_pool();
  options_.environment["REGATTA_TEST_FAULT"] = GetParam();
  const Json agreement =
      agreement_of({mnist_job(), "--only", "one", "--only", "two", "--worker", binary("faulty_worker")});
  EXPECT_EQ(agreement.at("result"), "differ") << agreement;
  EXPECT_GT(agreement.at("early_loss_rel").get<double>(), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Faults, FaultTest, testing::Values("shifted", "twice"),
                         [](const auto& param) { return std::string(param.param); });

TEST_F(AgreementTest, OverridesOfBatchOrLearningRateAreNotComparable) {
  wide_pool();
  for (const std::string train : {"{batch: 32}", "{optimizer: {kind: sgd, lr: 0.1, momentum: 0.9}}"}) {
    const auto job =
        folder_.write("job.yaml", tiny_job({kOneCore, "{name: other, pool: here, ranks: 1, train: " + train + "}"}, 1));
    EXPECT_EQ(agreement_of({job}).at("result"), "not_comparable") << train;
  }
}

}  // namespace
}  // namespace regatta::test
