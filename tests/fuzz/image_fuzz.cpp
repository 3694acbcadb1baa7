// A file of an image folder: decoded alone, and as one of four of a data set. What begins as a manifest is read as one.

#include "common/error.hpp"
#include "jobs/image_decoder.hpp"
#include "jobs/image_manifest.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace regatta::fuzz {

namespace {

constexpr std::int64_t kMostFuzzedPixels = 1 << 18;  // larger ones cost time and find nothing else

// One pixel.
constexpr std::uint8_t kPng[] = {0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
                                 0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x02, 0x00, 0x00,
                                 0x00, 0x90, 0x77, 0x53, 0xde, 0x00, 0x00, 0x00, 0x0c, 0x49, 0x44, 0x41, 0x54, 0x78,
                                 0x9c, 0x63, 0x10, 0x50, 0x30, 0x00, 0x00, 0x00, 0xa4, 0x00, 0x61, 0x34, 0x66, 0x7d,
                                 0x72, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

void try_manifest(std::string_view text) {
  ImageManifest manifest;
  try {
    manifest = parse_manifest(text);
  } catch (const IoError&) {
    return;
  }
  if (parse_manifest(manifest_text(manifest)) != manifest) found("the manifest is another one after writing");
}

void try_decoder(std::span<const std::uint8_t> file) {
  static ImageDecoder decoder;  // as a loader's thread keeps it: nothing of a damaged file stays behind
  try {
    const ImageSize size = decoder.probe(file);
    if (size.height < 1 || size.width < 1 || size.height > kMostPixels / size.width) found("a size out of range");
    if (size.height * size.width > kMostFuzzedPixels) return;
    std::vector<std::uint8_t> own(static_cast<std::size_t>(size.height * size.width * 3)), small(5 * 7 * 3);
    decoder.decode(file, size, own.data());
    decoder.decode(file, {5, 7}, small.data());
  } catch (const DataError& error) {
    if (std::string(error.what()).find("expected") == std::string::npos) found(error.what());
  }
  std::uint8_t pixel[3];
  decoder.decode(kPng, {1, 1}, pixel);
}

void try_folder(std::string_view content) {
  static const Scratch scratch;
  const std::string_view png(reinterpret_cast<const char*>(kPng), sizeof kPng);
  for (const char* name : {"train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png"}) scratch.write(name, png);
  scratch.write("train/a/0.jpg", content);
  DataSpec data;
  data.format = DataFormat::kImageFolder;
  data.path = scratch.path();
  data.size = {3, 2};
  for (const OnError on_error : {OnError::kFail, OnError::kSkip}) {
    data.on_error = on_error;
    try {
      expect_consistent(index_dataset(data, 1));
    } catch (const DataError& error) {
      expect_explained(error.what());
      if (on_error == OnError::kSkip) found(std::string("not left out: ") + error.what());
    }
  }
}

}  // namespace

}  // namespace regatta::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), count);
  if (input.starts_with("regatta-manifest")) {
    regatta::fuzz::try_manifest(input);
    return 0;
  }
  regatta::fuzz::try_decoder({bytes, count});
  regatta::fuzz::try_folder(input);
  return 0;
}
