#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/printable.hpp"
#include "common/yaml_reader.hpp"
#include "coordinator/command.hpp"
#include "coordinator/question.hpp"
#include "coordinator/run_listing.hpp"
#include "jobs/tensor_cast.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string id, dtype;  ///< dtype: f64, f32, f16, bf16; empty: as they are
  fs::path out;
  bool force = false, json = false;
};

const RunState& run_to_export(const Asked& asked, const std::string& id) {
  const Subject subject = find_subject(asked.state, id);
  if (subject.run != nullptr) return *subject.run;
  std::string runs;
  for (const auto& [key, run] : asked.state.runs)
    if (run.comparison && *run.comparison == subject.comparison->id)
      runs += fmt::format("\n    {}  {}", run.id.value, printable(run.configuration));
  throw ConfigError(subject.comparison->id.value +
                    " is a comparison (expected a run)\n  export one of its runs:" + runs);
}

/// The run's weights as they were written. Throws when there are none, or others than the run left.
SafetensorsFile weights_of(const RunState& run) {
  const Json* recorded = run.result.is_object() && run.result.contains("weights") ? &run.result["weights"] : nullptr;
  if (recorded == nullptr || recorded->is_null())
    throw DataError(run.id.value + ": left no weights (status " + to_text(run.status) +
                    ")\n  a run writes weights when it ends in order; regatta show says how this one ended");
  const fs::path path = fs::path(run.run_dir) / "weights.safetensors";
  SafetensorsFile file = read_safetensors(path);
  const auto expected = json_get<std::string>(*recorded, "xxh3");
  if (const std::string found = to_hex(xxh3_128(file.storage.data(), file.storage.size())); found != expected)
    throw DataError(path.string() + ": changed since the run (expected xxh3 " + expected + ", found " + found +
                    ")\n  take the file from a backup, or train again");
  return file;
}

/// JOB-CONFIGURATION; an imported run may have names that are no file names.
std::string default_name(const RunState& run) {
  const bool plain = is_plain_name(job_name(run)) && is_plain_name(run.configuration);
  return (plain ? job_name(run) + "-" + run.configuration : run.id.value) + ".safetensors";
}

/// Floating tensors as `dtype`; counters stay what they are.
void cast(SafetensorsFile& file, const std::string& dtype, std::vector<std::vector<std::byte>>& storage) {
  for (TensorView& tensor : file.tensors) {
    if (!is_floating(tensor.dtype) || tensor.dtype == dtype) continue;
    tensor.bytes = storage.emplace_back(cast_elements(tensor, dtype));
    tensor.dtype = dtype;
  }
}

ExitCode export_weights(ExportOptions options, const CommandLine& line) {
  const Asked asked = ask_ledger(line);
  const RunState& run = run_to_export(asked, options.id);
  if (options.out.empty()) options.out = default_name(run);
  if (fs::exists(options.out) && !fs::is_regular_file(options.out))
    throw ConfigError(options.out.string() + ": expected a file's name, found something that is no regular file");
  if (fs::exists(options.out) && !options.force)
    throw ConfigError(options.out.string() +
                      ": is there already\n  choose another name with --out, or replace it with --force");
  SafetensorsFile file = weights_of(run);
  std::vector<std::vector<std::byte>> storage;
  if (!options.dtype.empty()) cast(file, upper_case(options.dtype), storage);
  file.metadata["run"] = run.id.value;
  file.metadata["configuration"] = run.configuration;
  write_safetensors(options.out, file.tensors, file.metadata);

  const auto bytes = static_cast<std::int64_t>(fs::file_size(options.out));
  const std::string path = fs::absolute(options.out).lexically_normal().string();
  if (options.json)
    std::puts(Json{{"run_id", run.id.value},
                   {"file", path},
                   {"bytes", bytes},
                   {"tensors", file.tensors.size()},
                   {"xxh3", xxh3_file_hex(options.out)}}
                  .dump(2)
                  .c_str());
  else if (!line.quiet)
    std::printf("%s: %zu tensors, %lld bytes\n", path.c_str(), file.tensors.size(), static_cast<long long>(bytes));
  return ExitCode::kDone;
}

constexpr const char* kExportExamples = R"(
Examples:
  regatta export 01K5                          JOB-CONFIGURATION.safetensors in this folder
  regatta export 01K5 --out model.safetensors  under this name
  regatta export 01K5 --dtype bf16             half the bytes; counters stay integers

Reading it in PyTorch:
  from safetensors.torch import load_file
  model.load_state_dict(load_file("model.safetensors"))
A job begins from it with `model: {kind: ..., weights: model.safetensors}`.
)";

}  // namespace

void add_export(CLI::App& app, CommandLine& line) {
  const auto options = std::make_shared<ExportOptions>();
  auto* command = app.add_subcommand("export", "Copy a run's weights to a safetensors file, cast if you wish");
  command->add_option("run", options->id, "Id of a run, or its beginning")->required()->type_name("RUN");
  command->add_option("--out", options->out, "File to write; without it, JOB-CONFIGURATION.safetensors here")
      ->type_name("FILE");
  command->add_option("--dtype", options->dtype, "Type of the floating tensors; without it, as they were trained")
      ->check(CLI::IsMember({"f64", "f32", "f16", "bf16"}));
  command->add_flag("--force", options->force, "Replace the file if it is there");
  command->add_flag("--json", options->json, "Say as JSON what was written");
  command->footer(kExportExamples);
  command->callback([&line, options] { line.chosen = [&line, options] { return export_weights(*options, line); }; });
}

}  // namespace regatta
