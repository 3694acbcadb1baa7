#include "jobs/text_format.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "common/error.hpp"
#include "jobs/byte_source.hpp"
#include "jobs/data_file.hpp"

namespace regatta {

namespace {

constexpr std::int64_t kTextPiece = 1 << 20;

/// Bytes to classes and back.
class Alphabet {
 public:
  explicit Alphabet(const std::string& bytes) {
    classes_.fill(kNone);
    for (std::size_t i = 0; i < bytes.size(); ++i)
      classes_[static_cast<std::uint8_t>(bytes[i])] = static_cast<std::int16_t>(i);
  }

  /// Replaces bytes by their classes; how many there are before the first that has none.
  std::int64_t encode(std::uint8_t* bytes, std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int16_t number = classes_[bytes[i]];
      if (number == kNone) return i;
      bytes[i] = static_cast<std::uint8_t>(number);
    }
    return count;
  }

 private:
  static constexpr std::int16_t kNone = -1;
  std::array<std::int16_t, 256> classes_{};
};

void read_classes(ByteSource& source, const Alphabet& alphabet, std::uint8_t* out, std::int64_t count) {
  const std::int64_t begin = source.position();
  source.read(out, count, "text");
  if (const std::int64_t known = alphabet.encode(out, count); known < count)
    source.fail(begin + known, "expected a character of the index's alphabet, found another", "start the run again");
}

void skip(ByteSource& source, std::int64_t count) {
  std::vector<std::uint8_t> piece(static_cast<std::size_t>(std::min(count, kTextPiece)));
  for (std::int64_t left = count; left > 0; left -= kTextPiece)
    source.read(piece.data(), std::min(left, kTextPiece), "text");
}

class TextSamples final : public SampleReader {
 public:
  TextSamples(const DatasetIndex& index, Split split)
      : index_(index),
        alphabet_(index.alphabet),
        text_(index.files.at(0).path),
        first_(split == Split::kTrain ? 0 : index.train_count),
        count_(index.count(split)) {
    std::array<std::uint8_t, 2> magic{};
    text_.read_at(0, magic.data(), 2);
    if (magic == std::array<std::uint8_t, 2>{0x1f, 0x8b}) fail_changed(text_.path(), "raw text", "a gzip file");
  }

  std::int64_t read(std::int64_t sample, std::uint8_t* bytes) override {
    REGATTA_ENSURE(sample >= 0 && sample < count_, "no such sample");
    const std::int64_t count = index_.sample_bytes();
    const std::int64_t got = text_.read_at((first_ + sample) * index_.sample_shape[0], bytes, count);
    text_.expect_untouched(index_.files[0].bytes);
    if (got != count || alphabet_.encode(bytes, count) != count)
      fail_changed(text_.path(), "characters of the index's alphabet", "another");
    return 0;
  }

 private:
  const DatasetIndex& index_;
  Alphabet alphabet_;
  DataFile text_;
  std::int64_t first_, count_;  // windows of the split
};

}  // namespace

DatasetIndex index_text(const std::filesystem::path& file, std::int64_t length) {
  REGATTA_ENSURE(length >= 1, "a length that nobody checked");
  ByteSource source(file);
  std::array<bool, 256> occurs{};
  std::vector<std::uint8_t> piece(kTextPiece);
  while (const std::int64_t got = source.read_some(piece.data(), kTextPiece))
    for (std::int64_t i = 0; i < got; ++i) occurs[piece[static_cast<std::size_t>(i)]] = true;

  DatasetIndex index;
  index.format = DataFormat::kText;
  for (int byte = 0; byte < 256; ++byte)
    if (occurs[static_cast<std::size_t>(byte)]) index.alphabet += static_cast<char>(byte);
  index.classes = static_cast<std::int64_t>(index.alphabet.size());
  index.sample_shape = {length};
  const std::int64_t characters = source.position(), windows = (characters - 1) / length;
  if (index.classes < 2)
    source.fail(0,
                "expected text of at least 2 different characters, found " + std::to_string(characters) +
                    (characters == 1 ? " character" : " characters") + (characters > 1 ? ", all of them equal" : ""),
                "there is nothing to learn: give data.path another file");
  if (windows < 2)
    source.fail(characters,
                "expected at least " + std::to_string(2 * length + 1) + " characters, two windows of data.length " +
                    std::to_string(length) + " and a successor, found " + std::to_string(characters),
                "write a smaller data.length, or give data.path a longer text");
  index.test_count = std::max<std::int64_t>(1, windows / 10);
  index.train_count = windows - index.test_count;
  index.files.push_back({kTextRole, std::filesystem::absolute(file).lexically_normal(), source.bytes(), source.xxh3()});
  return index;
}

void decode_text(const DatasetIndex& index, Split split, RawSamples out) {
  const std::int64_t length = index.sample_shape.at(0);
  const std::int64_t first = split == Split::kTrain ? 0 : index.train_count;
  const std::int64_t count = index.count(split);
  const Alphabet alphabet(index.alphabet);
  decode_unchanged(index.files.at(0).path, index.files[0].xxh3, [&](ByteSource& source) {
    skip(source, first * length);
    std::uint8_t next = 0;  // the first character of the next window is the last target of this one
    read_classes(source, alphabet, &next, 1);
    for (std::int64_t sample = 0; sample < count; ++sample) {
      std::uint8_t* const window = out.pixels + sample * (length + 1);
      window[0] = next;
      read_classes(source, alphabet, window + 1, length);
      next = window[length];
    }
  });
  std::fill_n(out.labels, count, 0);
}

bool is_raw_text(const DatasetIndex& index) {
  return (index.files.at(0).bytes - 1) / index.sample_shape.at(0) == index.train_count + index.test_count;
}

std::unique_ptr<SampleReader> open_text_samples(const DatasetIndex& index, Split split) {
  return std::make_unique<TextSamples>(index, split);
}

}  // namespace regatta
