// What the schema accepts and this version does not do yet: a later version deletes lines here and marks in SCHEMA.md.

#include <fmt/format.h>

#include "jobs/spec_reader.hpp"
#include "jobs/spec_words.hpp"

namespace regatta {

namespace {

class Later {
 public:
  explicit Later(const SourcePositions& source) : findings_(source) {}

  /// A finding when `key` is written and its value is for a later version.
  void note(const std::string& key, bool later, const std::string& found, const std::string& instead) {
    if (later && findings_.positions().written(key))
      findings_.add(key, fmt::format("not in this version (expected {}, found {})", instead, found),
                    "write " + instead + ", or leave the key out; jobs/SCHEMA.md says what this version does");
  }
  std::vector<Diagnostic> sorted() const { return findings_.sorted(); }

 private:
  Findings findings_;
};

void note_train(const TrainSpec& train, const std::string& path, Later& later) {
  later.note(path + "checkpoint", train.checkpoint, kCheckpoints.text(train.checkpoint), "none");
}

/// GPUs exchange in each step. `path`: where it is written, the row's own or the job's.
void note_every(const ConfigurationSpec& row, const std::string& path, Later& later) {
  later.note(path + "exchange.every", row.backend == Backend::kNccl && row.train.exchange.every != 1,
             std::to_string(row.train.exchange.every), "1 with backend: nccl");
}

}  // namespace

std::vector<Diagnostic> unsupported(const JobSpec& job) {
  Later later(job.source);
  note_train(job.train, "train.", later);
  for (std::size_t i = 0; i < job.configurations.size(); ++i) {
    const std::string own = fmt::format("configurations[{}].train.", i);
    note_train(job.configurations[i].train, own, later);
    note_every(job.configurations[i], job.source.written(own + "exchange.every") ? own : "train.", later);
  }
  return later.sorted();
}

}  // namespace regatta
