#include <gtest/gtest.h>

#include "jobs/spec_reader.hpp"
#include "tests/support/config_mistakes.hpp"

namespace regatta::test {
namespace {

JobSpec parsed(const std::string& text) {
  return read_job_text(text, "job.yaml", "/data");
}

TrainingSpec training(const std::string& line, const std::string& instead) {
  const JobSpec job = parsed(with_mistake(good_job(), {.line = line.c_str(), .instead = instead.c_str()}));
  return job.training(job.configurations[0]);
}

TEST(SpecJson, RoundTripsWhateverTheReaderTakes) {
  const std::pair<const char*, const char*> variants[] = {
      {"repeats: 1", "repeats: 2"},
      {"model: {kind: cnn}", "model: {kind: mlp, hidden: [64, 32], weights: w.safetensors}"},
      {"model: {kind: cnn}", "model: {kind: resnet18}"},
      {"data: {format: idx, path: mnist}", "data: {format: synthetic, samples: 64, shape: [1, 28, 28], classes: 10}"},
      {"data: {format: idx, path: mnist}", "data: {format: imagefolder, path: p, size: [32, 48], augment: [flip]}"},
      {"data: {format: idx, path: mnist}", "data: {format: idx, path: p, on_error: skip, memory: 1GiB}"},
      {"  batch: 128", "  batch: 1\n  seed: 18446744073709551615\n  clip_norm: 0.1\n  micro_batch: 1"},
      {"  batch: 128", "  batch: 128\n  micro_batch: auto"},
      {"  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}", "  optimizer: {lr: 0.1, nesterov: true, momentum: 0.3}"},
      {"  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}", "  optimizer: {kind: adam, betas: [0.1, 0.2], eps: 1e-3}"},
      {"  schedule: {kind: constant}", "  schedule: {kind: step, step_epochs: 2, gamma: 0.3}"},
      {"  schedule: {kind: constant}", "  schedule: {kind: cosine, warmup_steps: 7}"},
      {"  schedule: {kind: constant}", "  schedule: {kind: one_cycle, max_lr: 1}"},
      {"  exchange: {wire: same, every: 1}", "  exchange: {wire: bf16, every: 4, outer: {lr: 0.7, momentum: 0.9}}"},
      {"  deadline: auto", "  deadline: 90s\n  checkpoint: every_epoch"},
      {"stop: {epochs: 3}", "stop: {epochs: 1, target_loss: 0.1, max_time: 0.1s, max_cost_usd: 0.000000001}"},
  };
  for (const auto& [line, instead] : variants) {
    const TrainingSpec spec = training(line, instead);
    const std::string text = to_json(spec).dump();
    EXPECT_EQ(training_spec_from_json(parse_json(text, "plan.json")), spec) << instead << "\n" << text;
  }
}

TEST(SpecJson, RoundTripsSyntheticText) {
  const JobSpec job = parsed(
      "name: a\nmodel: {kind: lstm}\ndata: {format: synthetic, samples: 640, length: 64, "
      "vocabulary: 65}\ntrain: {batch: 8}\nstop: {epochs: 1}\n"
      "configurations: [{name: b, ranks: 1}]\n");
  const TrainingSpec spec = job.training(job.configurations[0]);
  EXPECT_EQ(training_spec_from_json(to_json(spec)), spec);
  EXPECT_EQ(spec.data.synthetic.length, 64);
}

TEST(SpecJson, SpellsOutEveryDefaultWithTheKeysOfTheJobFile) {
  const JobSpec job = parsed(
      "name: a\nmodel: {kind: cnn}\ndata: {format: idx, path: /m}\ntrain: {batch: 8}\n"
      "stop: {max_cost_usd: 0.5}\nconfigurations: [{name: b, ranks: 1}]\n");
  const Json expected = parse_json(R"({
    "name": "a",
    "model": {"kind": "cnn", "channels": [8, 16], "weights": null},
    "data": {"format": "idx", "path": "/m", "on_error": "fail", "stage": "none", "memory": null},
    "train": {"batch": 8,
      "optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.0, "nesterov": false, "weight_decay": 0.0},
      "schedule": {"kind": "constant", "warmup_steps": 0},
      "precision": "fp32", "batch_norm": "sync", "clip_norm": "none", "accumulate": 1,
      "exchange": {"wire": "same", "every": 1, "outer": null},
      "shares": "equal", "evaluate": "every_epoch", "deadline": "auto", "seed": 1, "tf32": false, "micro_batch": null,
      "checkpoint": "none"},
    "stop": {"epochs": null, "target_accuracy": null, "target_loss": null, "max_time": null, "max_cost_usd": "0.5"}
  })",
                                   "expected");
  EXPECT_EQ(to_json(job.training(job.configurations[0])).dump(1), expected.dump(1));
}

TEST(SpecJson, OfAnOlderVersionHasEqualShares) {
  JobSpec job = parsed(good_job());
  job.configurations[0].train.shares = ShareRule::kMeasured;
  Json json = to_json(job.training(job.configurations[0]));
  EXPECT_EQ(json["train"]["shares"], "measured");
  EXPECT_EQ(training_spec_from_json(json).train.shares, ShareRule::kMeasured);
  json["train"].erase("shares");
  EXPECT_EQ(training_spec_from_json(json).train.shares, ShareRule::kEqual);
}

TEST(SpecJson, RefusesWhatIsMissingOrMistyped) {
  const JobSpec job = parsed(good_job());
  const Json good = to_json(job.training(job.configurations[0]));
  const auto message = [&](const char* pointer, const Json& value) -> std::string {
    Json bad = good;
    bad[nlohmann::ordered_json::json_pointer(pointer)] = value;
    try {
      training_spec_from_json(bad);
    } catch (const IoError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(message("/train/batch", 0).find("batch"), std::string::npos);
  EXPECT_NE(message("/train/batch", 1.5).find("batch"), std::string::npos);
  EXPECT_NE(message("/train/precision", "fp33").find("precision: expected one of"), std::string::npos);
  EXPECT_NE(message("/train/deadline", "soon").find("deadline"), std::string::npos);
  EXPECT_NE(message("/model/channels", "8").find("channels"), std::string::npos);
  EXPECT_NE(message("/stop", nullptr).find("max_cost_usd"), std::string::npos);
  EXPECT_EQ(message("/train/batch", 64), "accepted");
  Json missing = good;
  missing.erase("model");
  EXPECT_THROW(training_spec_from_json(missing), IoError);
}

TEST(JobIdentity, IsOfWhatTheFileMeans) {
  const JobId id = job_id(parsed(good_job()));
  const auto changed = [](const char* line, const char* instead) {
    return job_id(parsed(with_mistake(good_job(), {.line = line, .instead = instead})));
  };
  EXPECT_EQ(id, job_id(parsed("# a comment\n" + good_job())));
  EXPECT_EQ(id, changed("  batch: 128", "  seed: 1\n  batch: 128")) << "a default that is written changes nothing";
  EXPECT_NE(id, changed("  batch: 128", "  batch: 129"));
  EXPECT_NE(id, changed("repeats: 1", "repeats: 2"));
  EXPECT_NE(id, changed("  - {name: two, pool: here, ranks: 2}", "  - {name: two, pool: here, ranks: 3}"));
  EXPECT_NE(id, changed("  - {name: two, pool: here, ranks: 2}", "  - {name: two, ranks: 2, train: {seed: 2}}"));
  EXPECT_EQ(id.value.size(), 32U);
}

}  // namespace
}  // namespace regatta::test
