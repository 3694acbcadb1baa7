#include "coordinator/measured_files.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"

namespace regatta {

namespace {
constexpr int kFileSchema = 1;
constexpr std::size_t kMostFileBytes = std::size_t{1} << 20;
}  // namespace

fs::path MeasuredFiles::file_of(const Json& key) const {
  return folder_ / (xxh3_hex(key.dump()) + ".json");
}

Json MeasuredFiles::find(const Json& key) const {
  const fs::path file = file_of(key);
  std::error_code error;
  if (!fs::exists(file, error)) return nullptr;
  const Json json = parse_json(read_file(file, kMostFileBytes), file.string());
  if (const int schema = json_get<int>(json, "schema"); schema != kFileSchema)
    json_bad("schema", std::to_string(kFileSchema), std::to_string(schema));
  if (json_at(json, "of") != key) throw IoError("of: another training or machine");
  return json_at(json, name_.c_str());
}

void MeasuredFiles::keep(const Json& key, Json value) const {
  fs::create_directories(folder_);
  write_file_atomically(file_of(key),
                        Json{{"schema", kFileSchema}, {"of", key}, {name_, std::move(value)}}.dump(2) + "\n");
}

}  // namespace regatta
