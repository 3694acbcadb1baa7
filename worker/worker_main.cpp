#include <cstdio>
#include <cstdlib>
#include <variant>

#include "worker/cuda_plugin.hpp"
#include "worker/options.hpp"
#include "worker/rank_context.hpp"
#include "worker/wait_policy.hpp"
#include "worker/worker.hpp"

namespace regatta {

int worker_main(int argc, char** argv, const WorkerWraps& wraps) {
  const auto parsed = parse_worker_options(argc, argv, launcher_variables().rank == 0);
  if (const auto* code = std::get_if<ExitCode>(&parsed)) return static_cast<int>(*code);
  const auto& options = std::get<WorkerOptions>(parsed);
  if (options.gpus) {
    std::puts(to_json(report_gpus()).dump().c_str());
    return static_cast<int>(ExitCode::kDone);
  }
  limit_spinning(options, argv);
  const LoadedCuda cuda = load_cuda_for(options);  // before the first tensor; limit_spinning starts the program anew
  // The one way out that unwinds nothing: the trainer thread stands in a collective that will never return.
  const LeaveNow leave_now = [](ExitCode code) { std::_Exit(static_cast<int>(code)); };
  return static_cast<int>(run_worker(options, leave_now, cuda, wraps));
}

}  // namespace regatta
