#pragma once
// Reads and checks job.yaml: unknown and duplicate keys, wrong types and broken rules, all at once, each with
// file:line:column, expected, found, advice and the nearest known key.

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "common/error.hpp"
#include "common/ids.hpp"
#include "jobs/spec.hpp"

namespace regatta {

/// `--set train.batch=256`: dotted path and YAML text, applied before checking. Findings about it are placed at
/// "--set PATH".
using Override = std::pair<std::string, std::string>;

/// Reads the file; relative paths in it become absolute against its folder. Throws ConfigError with every finding.
JobSpec read_job_file(const std::filesystem::path& path, const std::vector<Override>& overrides = {});

/// The same from text, for tests and for job.yaml copies; `name` stands in messages, `folder` resolves paths.
JobSpec read_job_text(const std::string& text, const std::string& name, const std::filesystem::path& folder,
                      const std::vector<Override>& overrides = {});

/// Everything written in the file that this version does not do yet, each "not in this version" with its position.
/// Keys that are merely accepted at their default are no finding.
std::vector<Diagnostic> unsupported(const JobSpec& job);

/// xxh3 over the canonical JSON of name, model, data, train, stop, repeats and configurations.
JobId job_id(const JobSpec& job);

}  // namespace regatta
