#include "jobs/spec.hpp"

#include "jobs/spec_words.hpp"

namespace regatta {

const char* to_text(ModelKind kind) {
  return kModelKinds.text(kind);
}
const char* to_text(DataFormat format) {
  return kDataFormats.text(format);
}
const char* to_text(OnError on_error) {
  return kOnErrors.text(on_error);
}
const char* to_text(Stage stage) {
  return kStages.text(stage);
}
const char* to_text(OptimizerKind kind) {
  return kOptimizerKinds.text(kind);
}
const char* to_text(ScheduleKind kind) {
  return kScheduleKinds.text(kind);
}
const char* to_text(Precision precision) {
  return kPrecisions.text(precision);
}
const char* to_text(BatchNorm batch_norm) {
  return kBatchNorms.text(batch_norm);
}
const char* to_text(Wire wire) {
  return kWires.text(wire);
}
const char* to_text(ShareRule shares) {
  return kShareRules.text(shares);
}
const char* to_text(Evaluate evaluate) {
  return kEvaluates.text(evaluate);
}
const char* to_text(Backend backend) {
  return kBackends.text(backend);
}

ModelSpec with_default_sizes(ModelSpec model) {
  switch (model.kind) {
    case ModelKind::kMlp:
      if (model.hidden.empty()) model.hidden = {1024, 1024, 1024};
      break;
    case ModelKind::kCnn:
      if (model.channels.empty()) model.channels = {8, 16};
      break;
    case ModelKind::kResnet18:
      if (model.channels.empty()) model.channels = {64, 128, 256, 512};
      break;
    case ModelKind::kLstm:
      if (!model.embedding) model.embedding = 128;
      if (!model.hidden_size) model.hidden_size = 512;
      if (!model.layers) model.layers = 2;
      break;
  }
  return model;
}

OptimizerSpec default_optimizer(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return {.kind = kind, .lr = 0.01};
    case OptimizerKind::kAdam:
      return {.kind = kind, .lr = 0.001};
    case OptimizerKind::kAdamw:
      return {.kind = kind, .lr = 0.001, .weight_decay = 0.01};  // both as in PyTorch
  }
  ensure_failed("a known kind", __FILE__, __LINE__, "an optimizer without defaults");
}

}  // namespace regatta
