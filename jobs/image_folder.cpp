// Design note. Indexing decodes everything, although only the statistics need pixels: a damaged file is found before
// anything is launched, not in the third epoch. What the threads find out about a file goes into its own slot, and sums
// are integers, so the index is the same for any number of threads.

#include "jobs/image_folder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "common/error.hpp"
#include "common/host.hpp"
#include "jobs/image_decoder.hpp"
#include "jobs/image_file_reader.hpp"
#include "jobs/image_listing.hpp"
#include "jobs/image_manifest.hpp"
#include "jobs/parallel.hpp"
#include "jobs/pixel_sums.hpp"

namespace regatta {

namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kChannels = 3;  // images are decoded to RGB, whatever they are
constexpr std::size_t kNamedDamaged = 3;

/// What one look at a file tells.
struct Looked {
  std::uint32_t bytes = 0;
  Hash128 xxh3;
  std::string damage;                   ///< why it cannot be used; empty when it can
  std::optional<ImageSize> other_size;  ///< where it is not the others'
};

/// All files of a listing, training first, read and decoded once.
class FolderScan {
 public:
  FolderScan(const DataSpec& data, const IndexProgress& progress)
      : data_(data),
        progress_(progress),
        folder_(fs::absolute(data.path).lexically_normal()),
        listing_(list_images(folder_)),
        train_(listing_.train.size()),
        looked_(train_ + listing_.test.size()) {}

  DatasetIndex index() {
    size_ = data_.size.empty() ? first_size() : ImageSize{data_.size[0], data_.size[1]};
    if (size_.height > 0) look_at_all();
    check_damage();
    check_sizes();
    return make_index();
  }

 private:
  const ListedImage& listed(std::size_t i) const { return i < train_ ? listing_.train[i] : listing_.test[i - train_]; }
  std::string name(std::size_t i) const { return escaped_name((folder_ / listed(i).path).string()); }

  /// Of the first file that is not damaged; nothing when all are.
  ImageSize first_size() {
    ImageFileReader files(folder_);
    ImageDecoder decoder;
    for (first_ = 0; first_ < looked_.size(); ++first_) {
      try {
        const auto file = files.read(listed(first_).path.c_str());
        const ImageSize size = decoder.probe(file);
        std::vector<std::uint8_t> pixels(static_cast<std::size_t>(kChannels * size.height * size.width));
        decoder.decode(file, size, pixels.data());
        return size;
      } catch (const DataError& error) {
        looked_[first_].damage = error.what();
      }
    }
    return {};
  }

  /// What a thread keeps to itself; adds its sums to all when it ends.
  struct Worker {
    explicit Worker(FolderScan& owner) : scan(owner), files(owner.folder_), pixels(owner.pixel_bytes()) {}
    ~Worker() {
      const std::lock_guard lock(scan.mutex_);
      for (std::size_t c = 0; c < kChannels; ++c) scan.sums_[c].add(sums[c]);
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    FolderScan& scan;
    ImageFileReader files;
    ImageDecoder decoder;
    std::vector<std::uint8_t> pixels;
    std::array<PixelSums, kChannels> sums{};
  };

  void look_at_all() {
    in_parallel(static_cast<std::int64_t>(looked_.size()), usable_cores(), [this] {
      const auto worker = std::make_shared<Worker>(*this);
      return [this, worker](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) look_at(static_cast<std::size_t>(i), *worker);
        tell(end - begin);
      };
    });
  }

  void tell(std::int64_t more) {
    if (!progress_) return;
    const std::lock_guard lock(mutex_);
    done_ += more;
    progress_(done_, static_cast<std::int64_t>(looked_.size()));
  }

  void look_at(std::size_t i, Worker& worker) {
    Looked& out = looked_[i];
    try {
      const auto file = worker.files.read(listed(i).path.c_str());
      out.bytes = static_cast<std::uint32_t>(file.size());
      out.xxh3 = xxh3_128(file.data(), file.size());
      if (data_.size.empty()) {
        const ImageSize found = worker.decoder.probe(file);
        if (found != size_) out.other_size = found;
      }
      worker.decoder.decode(file, size_, worker.pixels.data());
      if (i < train_) add_by_channel(worker.sums, worker.pixels);
    } catch (const DataError& error) {
      out.damage = error.what();
    }
  }

  void check_damage() {
    for (std::size_t i = 0; i < looked_.size(); ++i)
      if (!looked_[i].damage.empty()) damaged_.push_back(i);
    if (damaged_.empty()) return;
    const std::string first = name(damaged_.front()) + ": " + looked_[damaged_.front()].damage;
    const std::size_t more = damaged_.size() - 1;
    const std::string of_all =
        more == 0 ? ""
                  : fmt::format("; {} more of {} files {} damaged", more, looked_.size(), more == 1 ? "is" : "are");
    if (data_.on_error == OnError::kFail)
      throw DataError(first + of_all + "\n  replace or remove " + (more == 0 ? "it" : "them") +
                      ", or write data.on_error: skip to leave out what is damaged");
    if (2 * damaged_.size() > looked_.size())
      throw DataError(first + of_all + "\n  data.on_error: skip leaves out at most half of the files: check data.path");
  }

  void check_sizes() const {
    const auto differs = [](const Looked& looked) { return looked.other_size.has_value() && looked.damage.empty(); };
    const auto found = std::find_if(looked_.begin(), looked_.end(), differs);
    if (found == looked_.end()) return;
    const auto count = std::count_if(found, looked_.end(), differs);
    throw DataError(fmt::format(
        "{}: expected an image of height {} and width {} as {}, found {} and {}{}\n  write data.size: [{}, {}] to "
        "resize "
        "all images (height, width), or another size",
        name(static_cast<std::size_t>(found - looked_.begin())), size_.height, size_.width, name(first_),
        found->other_size->height, found->other_size->width,
        count == 1 ? "" : fmt::format("; {} of {} files differ", count, looked_.size()), size_.height, size_.width));
  }

  ImageManifest make_manifest() const {
    ImageManifest manifest;
    manifest.classes = listing_.classes;
    std::vector<std::int64_t> left(listing_.classes.size(), 0);
    for (std::size_t i = 0; i < looked_.size(); ++i) {
      const Looked& looked = looked_[i];
      if (!looked.damage.empty()) continue;
      const ListedImage& image = listed(i);
      if (i < train_) ++left[image.label];
      manifest.add(i < train_ ? manifest.train : manifest.test,
                   {.label = image.label, .bytes = looked.bytes, .xxh3 = looked.xxh3}, image.path);
    }
    const auto none = std::find(left.begin(), left.end(), 0);
    const std::string lost =
        none != left.end()
            ? "training file of class " + escaped_name(listing_.classes[static_cast<std::size_t>(none - left.begin())])
        : manifest.test.empty() ? "test file"
                                : "";
    if (!lost.empty())
      throw DataError(escaped_name(folder_.string()) + ": expected at least one undamaged " + lost +
                      ", found none; the first damaged file is " + name(damaged_.front()) + ": " +
                      looked_[damaged_.front()].damage + "\n  replace the damaged files");
    return manifest;
  }

  DatasetIndex make_index() const {
    auto manifest = std::make_shared<ImageManifest>(make_manifest());
    DatasetIndex index;
    index.format = DataFormat::kImageFolder;
    index.train_count = static_cast<std::int64_t>(manifest->train.size());
    index.test_count = static_cast<std::int64_t>(manifest->test.size());
    index.classes = static_cast<std::int64_t>(manifest->classes.size());
    index.sample_shape = {kChannels, size_.height, size_.width};
    std::tie(index.mean, index.deviation) = statistics_of(sums_);
    index.skipped = static_cast<std::int64_t>(damaged_.size());
    for (std::size_t i = 0; i < std::min(damaged_.size(), kNamedDamaged); ++i)
      index.damaged.push_back(escaped_name(listed(damaged_[i]).path) + ": " + looked_[damaged_[i]].damage);
    const std::string text = manifest_text(*manifest);
    index.images = {.folder = folder_,
                    .count = index.train_count + index.test_count,
                    .bytes = static_cast<std::int64_t>(text.size()),
                    .xxh3 = xxh3_hex(text),
                    .manifest = manifest};
    for (const auto* split : {&manifest->train, &manifest->test})
      for (const auto& entry : *split) index.images.data_bytes += entry.bytes;
    return index;
  }

  std::size_t pixel_bytes() const { return static_cast<std::size_t>(kChannels * size_.height * size_.width); }

  const DataSpec& data_;
  const IndexProgress& progress_;
  std::int64_t done_ = 0;  // guarded by mutex_
  fs::path folder_;
  ImageListing listing_;
  std::size_t train_;
  std::vector<Looked> looked_;
  std::vector<std::size_t> damaged_;
  std::size_t first_ = 0;  // whose size all others must have
  ImageSize size_;
  std::mutex mutex_;
  std::array<PixelSums, kChannels> sums_{};
};

}  // namespace

DatasetIndex index_image_folder(const DataSpec& data, const IndexProgress& progress) {
  return FolderScan(data, progress).index();
}

}  // namespace regatta
