#include "tests/support/config_mistakes.hpp"

#include <sstream>
#include <stdexcept>
#include <vector>

namespace regatta::test {

namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

std::string good_job() {
  return R"(name: demo
model: {kind: cnn}
data: {format: idx, path: mnist}
train:
  batch: 128
  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}
  schedule: {kind: constant}
  precision: fp32
  exchange: {wire: same, every: 1}
  evaluate: every_epoch
  deadline: auto
stop: {epochs: 3}
repeats: 1
configurations:
  - {name: one, pool: here, ranks: 1}
  - {name: two, pool: here, ranks: 2}
)";
}

std::string good_cluster() {
  return R"(pools:
  here:
    launcher: local
    nodes: 1
    cores_per_node: 2
    gpus_per_node: 0
    oversubscribe: false
    price: {usd_per_node_hour: 0.08925, billing: slot, source: list}
)";
}

std::string with_mistake(const std::string& good, const Mistake& mistake) {
  const std::string line = std::string(mistake.line) + "\n";
  const auto at = good.find(line);
  if (at == std::string::npos || good.find(line, at + 1) != std::string::npos || (at > 0 && good[at - 1] != '\n'))
    throw std::logic_error("not one line of the good file: " + line);
  std::string bad = good;
  return bad.replace(at, line.size(), std::string(mistake.instead) + "\n");
}

std::string compare_findings(const std::string& text, const std::string& file, const Mistake& mistake) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::string first;
  std::string second;
  int findings = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!has(lines[i], file + ":")) continue;
    ++findings;
    first = lines[i];
    second = i + 1 < lines.size() ? lines[i + 1] : "";
  }
  const std::string path = mistake.path;
  const std::string start = file + ":" + mistake.place + ": " + (path.empty() ? "" : path + ": ");
  std::string problem;
  if (findings != 1) problem += "expected one finding, found " + std::to_string(findings) + "\n";
  if (!has(first, start)) problem += "expected it to start with " + start + "\n";
  if (!has(first, mistake.expected) && !has(second, mistake.expected))
    problem += std::string("it does not say what was expected: ") + mistake.expected + "\n";
  if (!has(first, mistake.found)) problem += std::string("it does not say what was found: ") + mistake.found + "\n";
  if (!has(second, mistake.advice)) problem += std::string("it does not advise: ") + mistake.advice + "\n";
  return problem.empty() ? problem : problem + "in:\n" + text;
}

}  // namespace regatta::test
