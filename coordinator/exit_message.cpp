#include "coordinator/exit_message.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

#include "cluster/slurm_words.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kTail = 65'536;  // an error stands near the end

/// Begins with "2025-07-01T12:00:00.000000Z "?
bool is_stamped(std::string_view line) {
  constexpr std::size_t kStamp = 27;
  return line.size() > kStamp && line[4] == '-' && line[10] == 'T' && line[kStamp - 1] == 'Z' && line[kStamp] == ' ';
}

bool has_word(const std::string& line) {
  return std::any_of(line.begin(), line.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
}

std::string line_with(const std::string& text, std::string_view words) {
  const auto at = text.find(words);
  if (at == std::string::npos) return {};
  const auto begin = text.rfind('\n', at) + 1;  // npos + 1 is 0
  return text.substr(begin, text.find('\n', at) - begin);
}

}  // namespace

std::string log_tail(const fs::path& path) {
  std::error_code missing;
  const auto size = fs::file_size(path, missing);
  if (missing) return {};
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(size > kTail ? size - kTail : 0));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string last_rank_error(const std::string& log) {
  constexpr std::string_view kError = " error ";
  std::string found;
  bool inside = false;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (!is_stamped(line)) {
      if (inside) found += "\n" + line;
      continue;
    }
    const std::string_view rest = std::string_view(line).substr(27);
    inside = rest.starts_with(kError);
    if (inside) found = rest.substr(kError.size());
  }
  return found;
}

std::string last_launcher_error(const std::string& log) {
  constexpr std::string_view kError = "regatta-worker: error: ", kWorker = "regatta-worker: ";  // the rest is progress
  std::string error, last;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    if (const auto at = line.find(kError); at != std::string::npos)
      error = line.substr(at + kError.size());
    else if (has_word(line) && !line.starts_with(kWorker))
      last = line;
  }
  if (const std::string rank = first_srun_error(log); error.empty() && !rank.empty()) {
    std::string words = rank;
    for (const std::string_view sign : {"error while loading shared libraries", "execve()", "couldn't chdir"})
      if (const std::string line = line_with(log, sign); !line.empty()) words += "; " + line;
    return words;
  }
  return error.empty() ? last : error;
}

std::string last_error_of_ranks(const fs::path& attempt_dir) {
  std::vector<fs::path> logs;
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(attempt_dir, unreadable)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("rank-") && name.ends_with(".log")) logs.push_back(entry.path());
  }
  std::sort(logs.begin(), logs.end(), [](const auto& a, const auto& b) {  // rank-2 before rank-10
    const auto &x = a.native(), &y = b.native();
    return x.size() != y.size() ? x.size() < y.size() : x < y;
  });
  for (const auto& log : logs)
    if (std::string error = last_rank_error(log_tail(log)); !error.empty()) return error;
  return {};
}

std::string last_error(const fs::path& attempt_dir) {
  const std::string error = last_error_of_ranks(attempt_dir);
  return error.empty() ? last_launcher_error(log_tail(attempt_dir / "launch.log")) : error;
}

}  // namespace regatta
