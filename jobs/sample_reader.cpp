#include "jobs/sample_reader.hpp"

#include "common/error.hpp"
#include "common/hash.hpp"
#include "jobs/data_file.hpp"
#include "jobs/idx_samples.hpp"
#include "jobs/image_samples.hpp"
#include "jobs/synthetic.hpp"
#include "jobs/synthetic_text.hpp"
#include "jobs/text_format.hpp"

namespace regatta {

bool can_read_samples(const DatasetIndex& index) {
  switch (index.format) {
    case DataFormat::kIdx:
      return is_raw_idx(index);
    case DataFormat::kText:
      return is_raw_text(index);
    case DataFormat::kImageFolder:
    case DataFormat::kSynthetic:
      return true;
  }
  return false;
}

std::unique_ptr<SampleReader> open_samples(const DatasetIndex& index, std::uint64_t seed, Split split) {
  REGATTA_ENSURE(can_read_samples(index), "single samples out of a gzip file");
  switch (index.format) {
    case DataFormat::kIdx:
      return open_idx_samples(index, split);
    case DataFormat::kText:
      return open_text_samples(index, split);
    case DataFormat::kSynthetic:
      return index.is_text() ? open_synthetic_text_samples(index, seed, split)
                             : open_synthetic_samples(index, seed, split);
    case DataFormat::kImageFolder:
      break;
  }
  REGATTA_ENSURE(index.images.manifest, "an image folder without its manifest");
  return open_image_samples(index, split);
}

void expect_unchanged(const DatasetIndex& index) {
  for (const auto& file : index.files)
    if (const std::string now = xxh3_file_hex(file.path); now != file.xxh3)
      fail_changed(file.path, "xxh3 " + file.xxh3, now);
}

}  // namespace regatta
