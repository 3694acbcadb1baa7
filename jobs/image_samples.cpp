#include "jobs/image_samples.hpp"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "common/error.hpp"
#include "common/host.hpp"
#include "jobs/data_file.hpp"
#include "jobs/image_decoder.hpp"
#include "jobs/image_file_reader.hpp"
#include "jobs/image_manifest.hpp"
#include "jobs/parallel.hpp"

namespace regatta {

namespace {

class ImageSamples final : public SampleReader {
 public:
  ImageSamples(const DatasetIndex& index, Split split)
      : folder_(index.images.folder),
        manifest_(*index.images.manifest),
        entries_(split == Split::kTrain ? manifest_.train : manifest_.test),
        size_{index.sample_shape.at(1), index.sample_shape.at(2)},
        files_(folder_) {}

  std::int64_t read(std::int64_t sample, std::uint8_t* bytes) override {
    REGATTA_ENSURE(sample >= 0 && static_cast<std::size_t>(sample) < entries_.size(), "no such sample");
    const ImageEntry& entry = entries_[static_cast<std::size_t>(sample)];
    const std::span<const std::uint8_t> file = read_file(entry);
    if (file.size() != entry.bytes || xxh3_128(file.data(), file.size()) != entry.xxh3)
      fail_changed(path_of(entry), fmt::format("{} bytes, xxh3 {}", entry.bytes, to_hex(entry.xxh3)),
                   file.size() > entry.bytes
                       ? "more"
                       : fmt::format("{} bytes, xxh3 {}", file.size(), to_hex(xxh3_128(file.data(), file.size()))));
    decoder_.decode(file, size_, bytes);
    return entry.label;
  }

 private:
  std::span<const std::uint8_t> read_file(const ImageEntry& entry) {
    try {
      return files_.read(manifest_.path(entry), entry.bytes);
    } catch (const DataError& error) {
      throw DataError(path_of(entry) + ": " + error.what() +
                      "; it could be read when it was indexed\n  leave the data alone while a run lasts, and start the "
                      "run again");
    }
  }
  std::string path_of(const ImageEntry& entry) const {
    return escaped_name((folder_ / manifest_.path(entry)).string());
  }

  const std::filesystem::path& folder_;
  const ImageManifest& manifest_;
  const std::vector<ImageEntry>& entries_;
  ImageSize size_;
  ImageFileReader files_;
  ImageDecoder decoder_;
};

}  // namespace

void decode_image_folder(const DatasetIndex& index, Split split, RawSamples out) {
  const std::int64_t count = index.count(split);
  const std::int64_t bytes = index.sample_bytes();
  in_parallel(count, usable_cores(), [&] {
    const auto samples = std::make_shared<ImageSamples>(index, split);
    return [samples, bytes, out](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) out.labels[i] = samples->read(i, out.pixels + i * bytes);
    };
  });
}

std::unique_ptr<SampleReader> open_image_samples(const DatasetIndex& index, Split split) {
  return std::make_unique<ImageSamples>(index, split);
}

}  // namespace regatta
