#pragma once
// Which files of a folder are an idx data set, by their names.

#include <array>
#include <filesystem>

namespace regatta {

/// The roles of the four files, in the order in which an index lists them.
inline constexpr std::array<const char*, 4> kIdxRoles = {"train_images", "train_labels", "test_images", "test_labels"};

/// The absolute paths by role of [PREFIX-]{train|t10k|test}-{images-idx3|labels-idx1}-ubyte[.gz]; a dot may stand
/// before "idx". A raw file wins over its own .gz. Throws DataError for a missing folder or file, or when there are two
/// to choose from.
std::array<std::filesystem::path, 4> find_idx_files(const std::filesystem::path& folder);

}  // namespace regatta
