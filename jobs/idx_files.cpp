#include "jobs/idx_files.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;

/// "train-images-idx3-ubyte"
std::string plain_name(std::string_view split, std::size_t role) {
  return std::string(split) + (role % 2 == 0 ? "-images-idx3-ubyte" : "-labels-idx1-ubyte");
}

/// `plain`, alone or after a prefix that ends in '-'.
bool is_named(std::string_view name, const std::string& plain) {
  return name == plain || name.ends_with("-" + plain);
}

bool has_role(std::string name, std::size_t role) {
  if (name.ends_with(".gz")) name.resize(name.size() - 3);
  if (const auto dot = name.rfind(".idx"); dot != std::string::npos) name[dot] = '-';
  if (role < 2) return is_named(name, plain_name("train", role));
  return is_named(name, plain_name("t10k", role)) || is_named(name, plain_name("test", role));
}

fs::path pick(const fs::path& folder, std::size_t role, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  std::copy_if(names.begin(), names.end(), std::back_inserter(found),
               [&](const std::string& name) { return has_role(name, role); });
  if (found.size() == 2 && found[1] == found[0] + ".gz") found.pop_back();  // sorted: raw comes first
  const std::string example = plain_name(role < 2 ? "train" : "t10k", role);
  if (found.empty())
    throw DataError(folder.string() + ": expected a file " + example + " or " + example + ".gz, found none\n" +
                    "  idx data is four files: train and t10k, images and labels, named as MNIST's are");
  if (found.size() > 1)
    throw DataError(folder.string() + ": expected one file like " + example + ", found " + found[0] + " and " +
                    found[1] + "\n  keep one data set in a folder");
  return fs::absolute(folder / found.front()).lexically_normal();
}

}  // namespace

std::array<fs::path, 4> find_idx_files(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    names.push_back(entry->path().filename().string());
  if (error)
    throw DataError(folder.string() + ": expected a folder with idx files, found: " + error.message() +
                    "\n  check data.path; it is relative to the job file");
  std::sort(names.begin(), names.end());
  std::array<fs::path, 4> files;
  for (std::size_t role = 0; role < files.size(); ++role) files[role] = pick(folder, role, names);
  return files;
}

}  // namespace regatta
