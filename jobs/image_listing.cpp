#include "jobs/image_listing.hpp"

#include <dirent.h>
#include <strings.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "common/error.hpp"
#include "jobs/image_manifest.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

const char* const kLayout =
    "an image folder has train/CLASS/ and test/CLASS/ (or val/CLASS/) with .jpg, .jpeg or .png files";

std::string shown(const fs::path& path) {
  return escaped_name(path.string());
}

/// The names in a folder, ascending, without those that begin with '.'.
std::vector<std::string> names_in(const fs::path& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), &::closedir);
  if (!open) {
    const int error = errno;
    throw DataError(shown(folder) + ": expected a folder that can be read, found: " + errno_text(error) + "\n  " +
                    (error == EACCES ? "give yourself the rights: chmod -R u+rX, or ask its owner"
                                     : "check data.path; it is relative to the job file"));
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(open.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  if (errno != 0) throw DataError("cannot read " + shown(folder) + ": " + errno_text(errno));
  std::sort(names.begin(), names.end());
  return names;
}

/// Follows links. What cannot be asked is taken for a folder, so that opening it says why.
bool is_folder(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode);
}

bool is_image(std::string_view name) {
  const auto ends_in = [&](std::string_view ending) {
    return name.size() > ending.size() &&
           ::strncasecmp(name.data() + name.size() - ending.size(), ending.data(), ending.size()) == 0;
  };
  return ends_in(".jpg") || ends_in(".jpeg") || ends_in(".png");
}

std::vector<std::string> classes_in(const fs::path& split) {
  std::vector<std::string> names = names_in(split);
  names.erase(std::remove_if(names.begin(), names.end(), [&](const auto& name) { return !is_folder(split / name); }),
              names.end());
  return names;
}

std::string test_folder_of(const fs::path& folder) {
  const std::vector<std::string> names = names_in(folder);
  const auto has = [&](const char* name) { return std::binary_search(names.begin(), names.end(), name); };
  if (!has("train")) throw DataError(shown(folder) + ": expected a folder train, found none\n  " + kLayout);
  if (has("test") == has("val"))
    throw DataError(
        shown(folder) + ": expected one of the folders test and val, found " +
        (has("test") ? "both\n  rename the one that the run shall not use" : std::string("none\n  ") + kLayout));
  return has("test") ? "test" : "val";
}

void expect_same_classes(const fs::path& folder, const std::string& test, const std::vector<std::string>& train_classes,
                         const std::vector<std::string>& test_classes) {
  const auto first_missing = [](const auto& in, const auto& from) {
    std::vector<std::string> missing;
    std::set_difference(from.begin(), from.end(), in.begin(), in.end(), std::back_inserter(missing));
    return missing.empty() ? std::string() : missing.front();
  };
  const auto fail = [&](const std::string& has, const std::string& lacks, const std::string& name) {
    throw DataError(shown(folder / lacks) + ": expected the classes of " + has + "/, found no folder " +
                    escaped_name(name) +
                    "\n  both parts need the same classes: add the folder, or remove the other one");
  };
  if (const auto name = first_missing(test_classes, train_classes); !name.empty()) fail("train", test, name);
  if (const auto name = first_missing(train_classes, test_classes); !name.empty()) fail(test, "train", name);
}

std::vector<ListedImage> images_of(const fs::path& folder, const std::string& split,
                                   const std::vector<std::string>& classes) {
  std::vector<ListedImage> images;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    const fs::path relative = fs::path(split) / classes[label];
    const std::vector<std::string> names = names_in(folder / relative);
    const std::size_t before = images.size();
    for (const auto& name : names)
      if (is_image(name)) images.push_back({static_cast<std::uint32_t>(label), (relative / name).string()});
    if (images.size() == before)
      throw DataError(shown(folder / relative) + ": expected at least one .jpg, .jpeg or .png file, found " +
                      (names.empty()
                           ? "an empty folder"
                           : std::to_string(names.size()) + " others, such as " + escaped_name(names.front())) +
                      "\n  add images of this class, or remove its folders");
  }
  return images;
}

}  // namespace

ImageListing list_images(const fs::path& folder) {
  const std::string test = test_folder_of(folder);
  ImageListing listing;
  listing.classes = classes_in(folder / "train");
  if (listing.classes.size() < 2)
    throw DataError(shown(folder / "train") + ": expected at least 2 folders, one a class, found " +
                    std::to_string(listing.classes.size()) + "\n  " + kLayout);
  expect_same_classes(folder, test, listing.classes, classes_in(folder / test));
  listing.train = images_of(folder, "train", listing.classes);
  listing.test = images_of(folder, test, listing.classes);
  return listing;
}

}  // namespace regatta
