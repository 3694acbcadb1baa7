#include "tests/mpi/plan_for.hpp"

#include "jobs/spec_reader.hpp"

namespace regatta::test {

Plan plan_for(const std::string& job, int ranks) {
  const std::string text = job + "configurations:\n  - {name: tested, ranks: " + std::to_string(ranks) + "}\n";
  const JobSpec spec = read_job_text(text, "job.yaml", REGATTA_SOURCE_DIR);
  Placement placement;
  placement.configuration = "tested";
  placement.pool = "here";
  placement.ranks = ranks;
  placement.cores_per_node = ranks;
  return make_plan(spec, spec.configurations.at(0), placement, index_dataset(spec.data, spec.train.seed), new_run_id(),
                   {},
                   /*repeat=*/1, /*attempt=*/1, {});
}

}  // namespace regatta::test
