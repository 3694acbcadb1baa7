#include "jobs/data_placement.hpp"

#include <fmt/format.h>

#include "common/error.hpp"
#include "jobs/sample_reader.hpp"

namespace regatta {

namespace {

std::string readable(std::int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return value < 1e9 ? fmt::format("{:.1f} MB", value / 1e6) : fmt::format("{:.1f} GB", value / 1e9);
}

}  // namespace

MemoryLimit memory_limit(const DataSpec& data, std::int64_t host_bytes) {
  return {data.memory_bytes.value_or(host_bytes), data.memory_bytes.has_value()};
}

bool must_stream(const DatasetIndex& index, MemoryLimit limit) {
  if (index.decoded_bytes() <= limit.bytes) return false;
  if (can_read_samples(index)) return true;
  throw DataError(
      fmt::format("data: expected at most {} of decoded samples, {}, found {}; and out of a gzip file samples cannot "
                  "be read one by "
                  "one\n  unpack the .gz files (gunzip), so that they can be read while it trains{}",
                  readable(limit.bytes), limit.stated ? "which is data.memory" : "the memory of this host",
                  readable(index.decoded_bytes()), limit.stated ? ", or allow more data.memory" : ""));
}

}  // namespace regatta
