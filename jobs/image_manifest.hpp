#pragma once
// The files of an image folder, one line each: what a plan refers to, because 60,000 of them do not belong into JSON.
//
// manifest.tsv, fields separated by tabs:
//   regatta-manifest  1
//   class  NAME                                         one a class, in the order of their numbers
//   train|test  CLASS_NUMBER  BYTES  XXH3  PATH         one a sample, in the order of their numbers; training first
// PATH is relative to data.path. In names a backslash, control characters and bytes that are no UTF-8 are \xHH.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/hash.hpp"

namespace regatta {

struct ImageEntry {
  std::uint64_t path_at = 0;  ///< in ImageManifest::paths
  std::uint32_t label = 0;
  std::uint32_t bytes = 0;
  Hash128 xxh3;
  bool operator==(const ImageEntry&) const = default;
};

struct ImageManifest {
  std::vector<std::string> classes;  ///< names, ascending
  std::vector<ImageEntry> train, test;
  std::string paths;  ///< relative to data.path, each with its NUL: an image's open needs no copy of them

  void add(std::vector<ImageEntry>& split, ImageEntry entry, std::string_view path);
  const char* path(const ImageEntry& entry) const { return paths.data() + entry.path_at; }
  bool operator==(const ImageManifest&) const = default;
};

std::string manifest_text(const ImageManifest& manifest);
/// Throws IoError naming the line.
ImageManifest parse_manifest(std::string_view text);

/// A file's name for files and messages.
std::string escaped_name(std::string_view name);

}  // namespace regatta
