#include "jobs/idx_samples.hpp"

#include <array>
#include <vector>

#include "common/error.hpp"
#include "jobs/data_file.hpp"
#include "jobs/idx_format.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kImagesHeader = 16;  // magic and three sizes

class IdxSamples final : public SampleReader {
 public:
  IdxSamples(const DatasetIndex& index, Split split)
      : file_(index.files.at(split == Split::kTrain ? 0 : 2)),
        images_(file_.path),
        labels_(read_idx_labels(index, split)),
        sample_bytes_(index.sample_bytes()) {
    std::array<std::uint8_t, 4> magic{};
    images_.read_at(0, magic.data(), 4);
    if (magic != std::array<std::uint8_t, 4>{0, 0, 8, 3}) fail_changed(file_.path, "an idx file", "another header");
  }

  std::int64_t read(std::int64_t sample, std::uint8_t* bytes) override {
    REGATTA_ENSURE(sample >= 0 && sample < static_cast<std::int64_t>(labels_.size()), "no such sample");
    images_.read_at(kImagesHeader + sample * sample_bytes_, bytes, sample_bytes_);
    images_.expect_untouched(file_.bytes);
    return labels_[static_cast<std::size_t>(sample)];
  }

 private:
  const IndexedFile& file_;
  DataFile images_;
  std::vector<std::uint8_t> labels_;
  std::int64_t sample_bytes_;
};

}  // namespace

bool is_raw_idx(const DatasetIndex& index) {
  const auto whole = [&](std::size_t file, std::int64_t count) {
    return index.files.at(file).bytes == kImagesHeader + count * index.sample_bytes();
  };
  return whole(0, index.train_count) && whole(2, index.test_count);
}

std::unique_ptr<SampleReader> open_idx_samples(const DatasetIndex& index, Split split) {
  return std::make_unique<IdxSamples>(index, split);
}

}  // namespace regatta
