#include "jobs/plan_files.hpp"

#include "common/files.hpp"

namespace regatta {

void write_plan(const Plan& plan, const std::filesystem::path& folder) {
  if (const std::string manifest = manifest_of(plan.dataset); !manifest.empty())
    write_file_atomically(folder / kManifestFile, manifest);
  write_file_atomically(folder / "plan.json", to_json(plan).dump(2) + "\n");
}

Plan read_plan(const std::filesystem::path& file) {
  constexpr std::size_t kMostManifestBytes = std::size_t{1} << 36;
  Plan plan = plan_from_json(parse_json(read_file(file), file.string()));
  if (plan.dataset.format == DataFormat::kImageFolder)
    attach_manifest(plan.dataset, read_file(file.parent_path() / kManifestFile, kMostManifestBytes));
  return plan;
}

}  // namespace regatta
