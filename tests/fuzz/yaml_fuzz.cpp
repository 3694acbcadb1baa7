// A job file.

#include "common/error.hpp"
#include "jobs/spec_reader.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace regatta::fuzz {

namespace {

void try_job(const std::string& text) {
  JobSpec job;
  try {
    job = read_job_text(text, "job.yaml", "/folder");
  } catch (const ConfigError& error) {
    for (const auto& finding : error.diagnostics())
      if (finding.message.empty() || finding.file != "job.yaml") found("a finding without words or place");
    if (error.diagnostics().empty()) found(error.what());
    return;
  }
  for (const auto& finding : unsupported(job))
    if (finding.message.empty() || finding.line < 1) found("a finding without words or place");
  if (job.configurations.empty()) found("a job without configurations");
  for (const auto& configuration : job.configurations) {
    const TrainingSpec training = job.training(configuration);
    if (training_spec_from_json(parse_json(to_json(training).dump(), "training")) != training)
      found("the training is another one after JSON");
  }
  job_id(job);
}

}  // namespace

}  // namespace regatta::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  regatta::fuzz::try_job(std::string(reinterpret_cast<const char*>(bytes), count));
  return 0;
}
