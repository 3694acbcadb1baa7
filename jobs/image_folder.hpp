#pragma once
// A folder of JPEG and PNG files as training data: a sample a file, its label the number of its class's folder.
// image_listing.hpp says which files those are, image_manifest.hpp how an index lists them.

#include "jobs/dataset_index.hpp"

namespace regatta {

/// Everything of the index but `key`. Reads, hashes and decodes every file once, in as many threads as this one may use
/// cores; statistics are exact sums over the resized training images. Without data.size all images have the size of the
/// first that is not damaged. What cannot be read or decoded is damaged: an error that names the first and counts the
/// others, or, with `on_error: skip`, left out and counted, as long as that is at most half of all files and every
/// class keeps one.
DatasetIndex index_image_folder(const DataSpec& data, const IndexProgress& progress = {});

}  // namespace regatta
