#pragma once
// Which files of a folder are an image data set, by their names.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace regatta {

struct ListedImage {
  std::uint32_t label = 0;
  std::string path;  ///< relative to the folder: train/cat/1.jpg
};

struct ImageListing {
  std::vector<std::string> classes;      ///< ascending by bytes, as Python sorts them
  std::vector<ListedImage> train, test;  ///< by class, then by name
};

/// train/CLASS/* and test/CLASS/* or val/CLASS/*, with the same classes. A class is a folder; a sample is what ends in
/// .jpg, .jpeg or .png, in any case. Everything else, and every name that begins with '.', is ignored: notes,
/// thumbnails' folders, what other systems leave behind. Folders inside a class are not entered.
/// Throws DataError: what is missing, there twice, empty or unreadable.
ImageListing list_images(const std::filesystem::path& folder);

}  // namespace regatta
