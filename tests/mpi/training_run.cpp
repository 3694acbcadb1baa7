#include "tests/mpi/training_run.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "common/files.hpp"
#include "jobs/safetensors.hpp"

namespace regatta::test {
namespace {

template <class T>
void append(std::span<const std::byte> bytes, std::vector<double>& values) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(T)) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    values.push_back(static_cast<double>(value));
  }
}

std::vector<double> read_weights(const fs::path& path) {
  const SafetensorsFile file = read_safetensors(path);
  std::vector<double> values;
  for (const TensorView& tensor : file.tensors) {
    if (tensor.dtype == "F64") append<double>(tensor.bytes, values);
    if (tensor.dtype == "F32") append<float>(tensor.bytes, values);  // I64 counts batches: no weight
  }
  return values;
}

Delivered read_delivered(const fs::path& folder, int ranks) {
  Delivered delivered;
  for (int rank = 0; rank < ranks; ++rank) {
    std::istringstream lines(read_file(folder / ("rank-" + std::to_string(rank))));
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      std::pair<int, int> key;
      char colon = 0;
      words >> key.first >> key.second >> colon;
      auto& by_rank = delivered[key];
      by_rank.resize(static_cast<std::size_t>(ranks));
      for (std::int64_t sample = 0; words >> sample;) by_rank[static_cast<std::size_t>(rank)].push_back(sample);
    }
  }
  return delivered;
}

std::vector<RankRow> read_rows(const fs::path& path, int epoch) {
  std::vector<RankRow> rows;
  std::istringstream lines(read_file(path));
  for (std::string line; std::getline(lines, line);) {
    const Json row = parse_json(line, path.string());
    if (json_get<int>(row, "epoch") == epoch)
      rows.push_back({json_get<std::int64_t>(row, "samples"), json_get<double>(row, "wall_s"),
                      phase_seconds_from_json(json_at(row, "seconds"))});
  }
  return rows;
}

}  // namespace

TrainingRun train(const Json& plan_json, const std::map<std::string, std::string>& environment, Millis deadline) {
  const TemporaryFolder folder;
  const fs::path plan = folder.write("plan.json", plan_json.dump());
  const fs::path run_dir = folder.path() / "run", samples = folder.path() / "samples";
  fs::create_directory(samples);
  const int ranks = json_get<int>(json_at(plan_json, "placement"), "ranks");

  std::vector<std::string> argv;
  if (ranks > 1)
    argv = {"mpirun", "--oversubscribe",    "--bind-to", "none", "--mca", "mpi_yield_when_idle", "1",
            "-np",    std::to_string(ranks)};
  for (const std::string& word : {std::string(REGATTA_BIN_DIR "/wrapped-worker"), std::string("--plan"), plan.string(),
                                  std::string("--run-dir"), run_dir.string(), std::string("--quiet")})
    argv.push_back(word);
  ProcessOptions options{.environment = environment};
  options.environment.insert({{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                              {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                              {"REGATTA_TEST_DELIVERED", samples.string()}});
  const ProcessResult result = run(argv, options, deadline);
  const auto expected = environment.contains("REGATTA_TEST_STOP_AT") ? ExitCode::kStoppedOnRequest : ExitCode::kDone;
  if (result.exit_code != static_cast<int>(expected) || result.timed_out)
    throw std::runtime_error("training failed: " + result.text());

  TrainingRun training;
  training.weights = read_weights(run_dir / "weights.safetensors");
  training.delivered = read_delivered(samples, ranks);
  const fs::path attempt = run_dir / "attempt-1";
  for (const JournalLine& line : parse_journal(read_file(attempt / "journal.jsonl"))) {
    if (const auto* start = std::get_if<record::Start>(&line.body)) training.exchanger = start->exchanger;
    if (const auto* epoch = std::get_if<record::Epoch>(&line.body)) training.epochs.push_back(*epoch);
    if (const auto* shares = std::get_if<record::Shares>(&line.body)) training.shares.push_back(*shares);
  }
  training.rows = read_rows(attempt / "ranks.jsonl", training.epochs.at(training.epochs.size() - 1).epoch);
  return training;
}

std::map<std::pair<int, int>, std::vector<std::int64_t>> multisets(const Delivered& delivered) {
  std::map<std::pair<int, int>, std::vector<std::int64_t>> sorted;
  for (const auto& [key, by_rank] : delivered) {
    auto& all = sorted[key];
    for (const auto& samples : by_rank) all.insert(all.end(), samples.begin(), samples.end());
    std::sort(all.begin(), all.end());
  }
  return sorted;
}

double relative_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size() || b.empty()) return std::numeric_limits<double>::infinity();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < b.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  return std::sqrt(difference / norm);
}

}  // namespace regatta::test
