#include "jobs/sample_reader.hpp"

#include "common/error.hpp"
#include "common/hash.hpp"
#include "jobs/data_file.hpp"
#include "jobs/idx_samples.hpp"
#include "jobs/synthetic.hpp"

namespace regatta {

bool can_read_samples(const DatasetIndex& index) {
  return index.format != DataFormat::kIdx || is_raw_idx(index);
}

std::unique_ptr<SampleReader> open_samples(const DatasetIndex& index, std::uint64_t seed, Split split) {
  REGATTA_ENSURE(can_read_samples(index), "single samples out of a gzip file");
  if (index.format == DataFormat::kIdx) return open_idx_samples(index, split);
  REGATTA_ENSURE(index.format == DataFormat::kSynthetic, "an index of a format that nobody indexes");
  return open_synthetic_samples(index, seed, split);
}

void expect_unchanged(const DatasetIndex& index) {
  for (const auto& file : index.files)
    if (const std::string now = xxh3_file_hex(file.path); now != file.xxh3)
      fail_changed(file.path, "xxh3 " + file.xxh3, now);
}

}  // namespace regatta
