#include "jobs/image_manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "common/error.hpp"

namespace regatta {

namespace {

constexpr std::string_view kFirstLine = "regatta-manifest\t1";

/// Bytes of the UTF-8 character at the front of `text`; 0 where there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::size_t length = byte(0) < 0x80 ? 1 : byte(0) < 0xc2 ? 0 : byte(0) < 0xe0 ? 2 : byte(0) < 0xf0 ? 3 : 4;
  if (byte(0) > 0xf4 || length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (length == 3 && ((byte(0) == 0xe0 && byte(1) < 0xa0) || (byte(0) == 0xed && byte(1) > 0x9f))) return 0;
  if (length == 4 && ((byte(0) == 0xf0 && byte(1) < 0x90) || (byte(0) == 0xf4 && byte(1) > 0x8f))) return 0;
  return length;
}

/// One line after the other, each with its number for messages.
class ManifestReader {
 public:
  explicit ManifestReader(std::string_view text) : rest_(text) {}

  bool next() {
    if (rest_.empty()) return false;
    ++number_;
    const std::size_t end = rest_.find('\n');
    if (end == std::string_view::npos) fail("a line that ends", "the end of the file");
    line_ = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return true;
  }
  std::string_view line() const { return line_; }

  /// What stands before the next tab, or before the end.
  std::string_view field() {
    const std::size_t end = std::min(line_.find('\t'), line_.size());
    const std::string_view found = line_.substr(0, end);
    line_.remove_prefix(std::min(end + 1, line_.size()));
    return found;
  }

  std::uint32_t number(const char* what) {
    const std::string_view text = field();
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) fail(what, text);
    return value;
  }

  Hash128 hash() {
    const std::string_view text = field();
    const auto hash = parse_hash(text);
    if (!hash) fail("32 hex digits", text);
    return *hash;
  }

  /// The rest of the line without its escapes.
  std::string name() {
    std::string out;
    for (std::size_t i = 0; i < line_.size(); ++i) {
      if (line_[i] != '\\') {
        const auto byte = static_cast<std::uint8_t>(line_[i]);
        if (byte < 0x20 || byte == 0x7f) fail("control characters as \\xHH", line_.substr(i, 1));
        out += line_[i];
        continue;
      }
      const std::string_view escape = line_.substr(i, 4);
      unsigned byte = 0;
      const bool good = escape.size() == 4 && escape[1] == 'x' &&
                        std::from_chars(escape.data() + 2, escape.data() + 4, byte, 16).ptr == escape.data() + 4;
      if (!good || byte == 0) fail("\\xHH", escape);
      out += static_cast<char>(byte);
      i += 3;
    }
    if (out.empty()) fail("a name", "nothing");
    return out;
  }

  [[noreturn]] void fail(const std::string& expected, std::string_view found) const {
    throw IoError(fmt::format("line {}: expected {}, found \"{}\"", number_, expected, escaped_name(found)));
  }

 private:
  std::string_view rest_, line_;
  std::int64_t number_ = 0;
};

/// Relative, and never above the folder: a plan from elsewhere must not read other files.
bool is_inside(std::string_view path) {
  if (path.front() == '/') return false;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (path.substr(0, end) == "..") return false;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return true;
}

void append_lines(std::string& text, const ImageManifest& manifest, const std::vector<ImageEntry>& split,
                  const char* word) {
  for (const auto& entry : split)
    fmt::format_to(std::back_inserter(text), "{}\t{}\t{}\t{}\t{}\n", word, entry.label, entry.bytes, to_hex(entry.xxh3),
                   escaped_name(manifest.path(entry)));
}

}  // namespace

void ImageManifest::add(std::vector<ImageEntry>& split, ImageEntry entry, std::string_view path) {
  entry.path_at = paths.size();
  paths.append(path).push_back('\0');
  split.push_back(entry);
}

std::string escaped_name(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const auto byte = static_cast<std::uint8_t>(name.front());
    const std::size_t length = utf8_length(name);
    if (length == 0 || byte < 0x20 || byte == 0x7f || byte == '\\') {
      out += fmt::format("\\x{:02x}", byte);
      name.remove_prefix(1);
    } else {
      out += name.substr(0, length);
      name.remove_prefix(length);
    }
  }
  return out;
}

std::string manifest_text(const ImageManifest& manifest) {
  std::string text(kFirstLine);
  text += '\n';
  for (const auto& name : manifest.classes) text += "class\t" + escaped_name(name) + "\n";
  append_lines(text, manifest, manifest.train, "train");
  append_lines(text, manifest, manifest.test, "test");
  return text;
}

ImageManifest parse_manifest(std::string_view text) {
  ManifestReader reader(text);
  ImageManifest manifest;
  if (!reader.next() || reader.line() != kFirstLine) reader.fail("regatta-manifest 1", reader.line());
  while (reader.next()) {
    const std::string_view word = reader.field();
    const bool samples = !manifest.train.empty() || !manifest.test.empty();
    if (word == "class" && !samples) {
      manifest.classes.push_back(reader.name());
      continue;
    }
    if (word != "test" && (word != "train" || !manifest.test.empty()))
      reader.fail("class, train or test in order", word);
    ImageEntry entry;
    entry.label = reader.number("the number of a class");
    if (entry.label >= manifest.classes.size())
      reader.fail(fmt::format("a class below {}", manifest.classes.size()), std::to_string(entry.label));
    entry.bytes = reader.number("the size of a file");
    entry.xxh3 = reader.hash();
    const std::string path = reader.name();
    if (!is_inside(path)) reader.fail("a path below the folder", path);
    manifest.add(word == "train" ? manifest.train : manifest.test, entry, path);
  }
  return manifest;
}

}  // namespace regatta
