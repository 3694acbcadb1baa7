#include "common/error.hpp"

#include <system_error>

namespace regatta {

namespace {
std::string join(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const auto& diagnostic : diagnostics) {
    if (!text.empty()) text += '\n';
    text += diagnostic.text();
  }
  return text;
}
}  // namespace

std::string Diagnostic::text() const {
  std::string where = file;
  if (line > 0) where += ":" + std::to_string(line) + ":" + std::to_string(column);
  std::string result = where.empty() ? message : where + ": " + message;
  if (!advice.empty()) result += "\n  " + advice;
  return result;
}

ConfigError::ConfigError(std::vector<Diagnostic> diagnostics)
    : Error(ExitCode::kBadConfig, join(diagnostics)), diagnostics_(std::move(diagnostics)) {}

void ensure_failed(const char* condition, const char* file, int line, const std::string& message) {
  throw std::logic_error("regatta bug: " + message + " (" + condition + " at " + file + ":" + std::to_string(line) +
                         "); please report it");
}

std::string errno_text(int error_number) {
  return std::system_category().message(error_number);
}

}  // namespace regatta
