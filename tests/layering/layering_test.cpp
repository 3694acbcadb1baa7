#include "layering.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/process.hpp"

namespace regatta {
namespace {

using test::check_layering;
using test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Layering, HoldsInTheSources) {
  const auto report = check_layering(REGATTA_SOURCE_DIR);
  EXPECT_GT(report.files, 60);
  EXPECT_GT(report.includes, 300);
  EXPECT_THAT(report.violations, IsEmpty());
}

struct Planted {
  const char* file;
  const char* line;
  const char* says;  ///< empty: allowed
};

TEST(Layering, SeesWhatIsPlanted) {
  const Planted table[] = {
      {"common/a.hpp", "#include \"jobs/spec.hpp\"", "common may include common"},
      {"common/a.cpp", "#include <mpi.h>", "MPI belongs to worker"},
      {"jobs/a.cpp", "#include \"cluster/bill.hpp\"", "jobs may include common, jobs"},
      {"cluster/a.cpp", "#include \"jobs/plan.hpp\"", "cluster may include cluster, common"},
      {"worker/a.cpp", "#include \"coordinator/state.hpp\"", "worker may include"},
      {"coordinator/a.cpp", "#include \"worker/trainer.hpp\"", "coordinator may include"},
      {"coordinator/commands/a.cpp", "#include <worker/trainer.hpp>", "coordinator may include"},
      {"coordinator/a.cpp", "#include \"../worker/trainer.hpp\"", "includes worker/trainer.hpp"},
      {"coordinator/a.cpp", "  #  include <torch/torch.h>", "torch belongs to worker"},
      {"coordinator/a.cpp", "#include <ATen/ATen.h>", "torch belongs to worker"},
      {"coordinator/a.cpp", "#include \"jobs/models.hpp\"", "torch belongs to worker"},
      {"coordinator/a.cpp", "#include \"jobs/batch_norm.hpp\"", "torch belongs to worker"},
      {"jobs/plan.cpp", "#include <c10/util/Half.h>", "torch belongs to worker"},
      {"jobs/model_fit.cpp", "#include \"jobs/model_families.hpp\"", "torch belongs to worker"},
      {"jobs/models.cpp", "#include <mpi.h>", "MPI belongs to worker"},
      {"common/a.cpp", "#include \"tests/support/process.hpp\"", "common may include common"},
      {"jobs/models.cpp", "#include <ATen/ATen.h>", ""},
      {"jobs/model_lstm.cpp", "#include <ATen/ATen.h>", ""},
      {"worker/a.cpp", "#include \"jobs/models.hpp\"", ""},
      {"worker/a.cpp", "#include <mpi.h>", ""},
      {"coordinator/a.cpp", "#include \"jobs/plan.hpp\"", ""},
      {"coordinator/a.cpp", "// #include \"worker/trainer.hpp\"", ""},
  };
  for (const auto& [file, line, says] : table) {
    const TemporaryFolder tree;
    tree.write("worker/trainer.hpp", "#pragma once\n");
    tree.write(file, std::string("#pragma once\n\n") + line + "\n");
    const auto found = check_layering(tree.path()).violations;
    if (*says == '\0')
      EXPECT_THAT(found, IsEmpty()) << file << ": " << line;
    else
      EXPECT_THAT(found, ElementsAre(testing::AllOf(HasSubstr(std::string(file) + ":3: "), HasSubstr(says)))) << line;
  }
}

}  // namespace
}  // namespace regatta
