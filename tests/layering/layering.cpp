#include "layering.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>

namespace regatta::test {

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>>& allowed() {
  static const std::map<std::string, std::set<std::string>> kAllowed{
      {"common", {"common"}},
      {"jobs", {"common", "jobs"}},
      {"cluster", {"common", "cluster"}},
      {"worker", {"common", "jobs", "cluster", "worker"}},
      {"coordinator", {"common", "jobs", "cluster", "coordinator"}}};
  return kAllowed;
}

bool starts_with_any(const std::string& text, const std::vector<std::string>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(),
                     [&](const std::string& beginning) { return text.rfind(beginning, 0) == 0; });
}

/// The sources of regatta_models, jobs/CMakeLists.txt, and what only they include.
bool is_torch_half(const std::string& file) {
  return starts_with_any(
      file, {"jobs/models", "jobs/model_families", "jobs/model_lstm", "jobs/model_resnet", "jobs/model_sequential",
             "jobs/batch_norm", "jobs/convolution", "jobs/linear.", "jobs/lstm_", "jobs/winograd", "jobs/avx512"});
}
bool is_torch_header(const std::string& header) {
  return starts_with_any(header, {"torch/", "ATen/", "c10/", "caffe2/", "nccl", "cuda"});
}
bool is_mpi_header(const std::string& header) {
  return starts_with_any(header, {"mpi.h", "mpi/", "openmpi/", "mpi-ext"});
}

bool is_source(const fs::path& file) {
  static const std::set<std::string> kExtensions{".hpp", ".h", ".cpp", ".cc", ".cu", ".cuh", ".inl", ".ipp"};
  return kExtensions.contains(file.extension().string());
}

/// An include as a path from the root: includes start there, but a relative one would reach the same file.
std::string from_root(const fs::path& root, const fs::path& file, const std::string& header) {
  const fs::path beside = file.parent_path() / header;
  if (fs::exists(root / header) || !fs::exists(beside)) return fs::path(header).lexically_normal().generic_string();
  return beside.lexically_normal().lexically_relative(root.lexically_normal()).generic_string();
}

/// What is wrong with `file` including `header`; nothing when it may.
std::optional<std::string> objection(const std::string& file, const std::string& header) {
  const std::string folder = file.substr(0, file.find('/'));
  const std::string target = header.substr(0, header.find('/'));
  const auto& may = allowed().at(folder);
  if ((allowed().contains(target) && !may.contains(target)) || target == "tests") {
    std::string list;
    for (const auto& name : may) list += (list.empty() ? "" : ", ") + name;
    return folder + " may include " + list;
  }
  const bool in_worker = folder == "worker";
  if (is_mpi_header(header) && !in_worker) return "MPI belongs to worker";
  if ((is_torch_header(header) || is_torch_half(header)) && !in_worker && !is_torch_half(file))
    return "torch belongs to worker and the torch half of jobs";
  return {};
}

void check_file(const fs::path& root, const fs::path& path, LayeringReport& report) {
  static const std::regex kInclude(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  const std::string file = path.lexically_relative(root).generic_string();
  std::ifstream stream(path);
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, kInclude)) continue;
    ++report.includes;
    const std::string header = from_root(root, path, match[1]);
    if (const auto why = objection(file, header))
      report.violations.push_back(file + ":" + std::to_string(number) + ": includes " + header + "; " + *why);
  }
}

}  // namespace

LayeringReport check_layering(const fs::path& root) {
  LayeringReport report;
  for (const auto& [folder, may] : allowed()) {
    if (!fs::is_directory(root / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      ++report.files;
      check_file(root, entry.path(), report);
    }
  }
  std::sort(report.violations.begin(), report.violations.end());
  return report;
}

}  // namespace regatta::test
