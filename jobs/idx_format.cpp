#include "jobs/idx_format.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "jobs/byte_source.hpp"
#include "jobs/idx_files.hpp"
#include "jobs/pixel_sums.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kPiece = 1 << 20;
const char* const kFetch = "fetch the file again, or give data.path another folder";

std::string hex(std::span<const std::uint8_t> bytes) {
  return bytes.empty() ? "nothing" : fmt::format("{:02x}", fmt::join(bytes, " "));
}

/// Reads the header and leaves `source` at the first element.
/// The sizes are at least 1, and their product is not more than the file can hold.
std::vector<std::int64_t> read_header(ByteSource& source, std::uint8_t rank) {
  std::array<std::uint8_t, 4> magic{};
  const std::array<std::uint8_t, 4> expected = {0, 0, 8, rank};
  const auto got = source.read_some(magic.data(), 4);
  if (got < 4 || magic != expected)
    source.fail(0,
                "expected the idx magic " + hex(expected) + " (uint8, " + std::to_string(rank) + " sizes), found " +
                    hex(std::span(magic).first(static_cast<std::size_t>(got))),
                magic[2] != 8 && got == 4 && magic[0] == 0 && magic[1] == 0
                    ? "only idx files of uint8 are read"
                    : std::string("this is no idx file of ") + (rank == 3 ? "images" : "labels") + ": " + kFetch);
  std::vector<std::int64_t> sizes(rank);
  std::int64_t product = 1;
  for (auto& size : sizes) {
    const std::int64_t at = source.position();
    std::array<std::uint8_t, 4> raw{};
    source.read(raw.data(), 4, "the header");
    size = std::int64_t{raw[0]} << 24 | raw[1] << 16 | raw[2] << 8 | raw[3];
    if (size == 0) source.fail(at, "expected a size of at least 1, found 0", kFetch);
    if (size > source.largest_decoded_bytes() / product)
      source.fail(at,
                  "expected a file that holds the header's " + std::to_string(product) + " x " + std::to_string(size) +
                      " elements, found " + std::to_string(source.bytes()) + " bytes",
                  "the file was not copied whole or its header is damaged: " + std::string(kFetch));
    product *= size;
  }
  return sizes;
}

struct Images {
  std::int64_t count = 0, rows = 0, columns = 0;
  PixelSums pixels;
};

Images scan_images(ByteSource& source) {
  const auto sizes = read_header(source, 3);
  Images images{sizes[0], sizes[1], sizes[2], {}};
  std::int64_t left = sizes[0] * sizes[1] * sizes[2];
  std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min(left, kPiece)));
  while (left > 0) {
    const std::int64_t now = std::min(left, kPiece);
    source.read(piece.data(), now, "pixels");
    images.pixels.add(std::span(piece).first(static_cast<std::size_t>(now)));
    left -= now;
  }
  source.expect_end("the pixels");
  return images;
}

std::vector<std::uint8_t> scan_labels(ByteSource& source) {
  const auto sizes = read_header(source, 1);
  std::vector<std::uint8_t> labels(static_cast<std::size_t>(sizes[0]));
  source.read(labels.data(), sizes[0], "labels");
  source.expect_end("the labels");
  return labels;
}

void expect_count(const ByteSource& source, std::int64_t found, std::int64_t images, const fs::path& images_path) {
  if (found != images)
    source.fail(4,
                "expected " + std::to_string(images) + " labels, one for each image of " + images_path.string() +
                    ", found " + std::to_string(found),
                "the two files do not belong together: " + std::string(kFetch));
}

void expect_labels_below(const ByteSource& source, std::span<const std::uint8_t> labels, std::int64_t classes) {
  const auto bad = std::find_if(labels.begin(), labels.end(), [&](std::uint8_t label) { return label >= classes; });
  if (bad == labels.end()) return;
  const auto sample = bad - labels.begin();
  source.fail(8 + sample,
              "label of sample " + std::to_string(sample) + ": expected 0 to " + std::to_string(classes - 1) +
                  ", the training set's classes, found " + std::to_string(*bad),
              "the test set has a class that is never trained: correct the labels, or " + std::string(kFetch));
}

IndexedFile describe(ByteSource& source, const char* role) {
  return {role, source.path(), source.bytes(), source.xxh3()};
}

}  // namespace

DatasetIndex index_idx(const fs::path& folder) {
  const auto paths = find_idx_files(folder);
  DatasetIndex index;
  index.format = DataFormat::kIdx;
  Images train;
  for (std::size_t half = 0; half < 2; ++half) {
    ByteSource image_file(paths[2 * half]);
    const Images images = scan_images(image_file);
    ByteSource label_file(paths[2 * half + 1]);
    const auto labels = scan_labels(label_file);
    expect_count(label_file, static_cast<std::int64_t>(labels.size()), images.count, image_file.path());
    if (half == 0) {
      train = images;
      index.classes = *std::max_element(labels.begin(), labels.end()) + 1;
      if (index.classes < 2)
        label_file.fail(8, "expected labels of at least 2 classes, found only 0",
                        "there is nothing to learn: " + std::string(kFetch));
    } else if (images.rows != train.rows || images.columns != train.columns) {
      image_file.fail(8,
                      "expected images of " + std::to_string(train.rows) + " x " + std::to_string(train.columns) +
                          " as in " + paths[0].string() + ", found " + std::to_string(images.rows) + " x " +
                          std::to_string(images.columns),
                      "the two files do not belong together: " + std::string(kFetch));
    } else {
      expect_labels_below(label_file, labels, index.classes);
    }
    (half == 0 ? index.train_count : index.test_count) = images.count;
    index.files.push_back(describe(image_file, kIdxRoles[2 * half]));
    index.files.push_back(describe(label_file, kIdxRoles[2 * half + 1]));
  }
  index.sample_shape = {1, train.rows, train.columns};
  index.mean = {train.pixels.mean()};
  index.deviation = {train.pixels.deviation()};
  return index;
}

void decode_idx(const DatasetIndex& index, Split split, RawSamples out) {
  const std::size_t first = split == Split::kTrain ? 0 : 2;
  REGATTA_ENSURE(index.files.size() == 4 && index.files[first].role == kIdxRoles[first], "an idx index has four files");
  const std::int64_t count = index.count(split);
  decode_unchanged(index.files[first].path, index.files[first].xxh3, [&](ByteSource& source) {
    auto expected = index.sample_shape;
    expected[0] = count;  // (C = 1, H, W) to (count, H, W)
    if (read_header(source, 3) != expected) source.fail(4, "expected the sizes of the index, found others", kFetch);
    source.read(out.pixels, index.sample_bytes() * count, "pixels");
    source.expect_end("the pixels");
  });
  const auto labels = read_idx_labels(index, split);
  std::copy(labels.begin(), labels.end(), out.labels);
}

std::vector<std::uint8_t> read_idx_labels(const DatasetIndex& index, Split split) {
  const IndexedFile& file = index.files.at(split == Split::kTrain ? 1 : 3);
  const std::int64_t count = index.count(split);
  std::vector<std::uint8_t> labels;
  decode_unchanged(file.path, file.xxh3, [&](ByteSource& source) {
    labels = scan_labels(source);
    if (static_cast<std::int64_t>(labels.size()) != count)
      source.fail(4, "expected the count of the index, found another", kFetch);
    expect_labels_below(source, labels, index.classes);
  });
  return labels;
}

}  // namespace regatta
