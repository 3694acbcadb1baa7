// What tests/benchmarks/loader.py asks of our loader, a word a mode:
//   bench_loader rate FOLDER SAMPLES       one timed pass: every image read and decoded from its file, cropped,
//   mirrored,
//                                          normalised, float32 out, in batches of 128; prints JSON
//   bench_loader pixels FOLDER SAMPLES OUT the first test images as the model would get them, not augmented: OUT gets
//                                          float32 (SAMPLES, H, W, 3), stdout JSON with mean, deviation and the paths

#include <ATen/ATen.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <string>

#include "common/error.hpp"
#include "common/time.hpp"
#include "jobs/image_manifest.hpp"
#include "worker/loader.hpp"

namespace regatta {
namespace {

Plan streamed_plan(const std::string& folder, std::vector<std::string> augment) {
  Plan plan;
  plan.training.data.format = DataFormat::kImageFolder;
  plan.training.data.path = folder;
  plan.training.data.augment = std::move(augment);
  plan.training.train.batch = 128;
  plan.dataset = index_dataset(plan.training.data, plan.training.train.seed);
  plan.streamed = true;
  plan.shares = {1};
  plan.placement.ranks = 1;
  return plan;
}

Json measure_rate(const std::string& folder, std::int64_t samples) {
  const Plan plan = streamed_plan(folder, {"crop", "flip"});
  const auto loader = make_loader(plan, open_source(plan, NodeDataset{}, Split::kTrain), 0);
  const SteadyTime start = std::chrono::steady_clock::now();
  double first_batch_s = 0;
  std::int64_t done = 0;
  for (int epoch = 1; done < samples; ++epoch) {
    loader->start_epoch(epoch);
    for (std::int64_t b = 0; b < loader->batches_per_epoch() && done < samples; ++b) {
      done += loader->next().targets.numel();
      if (first_batch_s == 0) first_batch_s = seconds(std::chrono::steady_clock::now() - start);
    }
  }
  const double elapsed = seconds(std::chrono::steady_clock::now() - start);
  return {{"samples", done}, {"first_batch_s", first_batch_s}, {"samples_per_s", static_cast<double>(done) / elapsed}};
}

Json write_pixels(const std::string& folder, std::int64_t samples, const std::string& out) {
  const Plan plan = streamed_plan(folder, {});
  const auto source = make_evaluation_source(plan, open_source(plan, NodeDataset{}, Split::kTest), 0);
  std::ofstream file(out, std::ios::binary);
  Json paths = Json::array();
  const ImageManifest& manifest = *plan.dataset.images.manifest;
  const std::int64_t wanted = std::min(samples, plan.dataset.test_count);
  for (std::int64_t b = 0; static_cast<std::int64_t>(paths.size()) < wanted; ++b) {
    const Batch& batch = source->batch(b);
    const at::Tensor rows = batch.inputs.permute({0, 2, 3, 1}).contiguous();
    for (std::size_t i = 0; i < batch.samples.size() && static_cast<std::int64_t>(paths.size()) < wanted; ++i) {
      const at::Tensor image = rows[static_cast<std::int64_t>(i)];
      file.write(reinterpret_cast<const char*>(image.const_data_ptr<float>()),
                 static_cast<std::streamsize>(image.nbytes()));
      paths.push_back(manifest.path(manifest.test[static_cast<std::size_t>(batch.samples[i])]));
    }
  }
  return {{"shape", plan.dataset.sample_shape},
          {"mean", plan.dataset.mean},
          {"deviation", plan.dataset.deviation},
          {"paths", paths}};
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "rate")
    std::cout << measure_rate(words[1], std::stoll(words[2])).dump() << '\n';
  else if (words.size() == 4 && words[0] == "pixels")
    std::cout << write_pixels(words[1], std::stoll(words[2]), words[3]).dump() << '\n';
  else
    throw ConfigError("bench_loader rate FOLDER SAMPLES | pixels FOLDER SAMPLES OUT");
  return 0;
}

}  // namespace
}  // namespace regatta

int main(int argc, char** argv) {
  try {
    return regatta::run({argv + 1, argv + argc});
  } catch (const regatta::Error& error) {
    std::cerr << "bench_loader: " << error.what() << '\n';
    return static_cast<int>(error.exit_code());
  }
}
