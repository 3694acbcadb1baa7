#include "tests/support/config_mistakes.hpp"

namespace regatta::test {

namespace {

const char* const kModel = "model: {kind: cnn}";
const char* const kData = "data: {format: idx, path: mnist}";
const char* const kBatch = "  batch: 128";
const char* const kOptimizer = "  optimizer: {kind: sgd, lr: 0.05, momentum: 0.9}";
const char* const kSchedule = "  schedule: {kind: constant}";
const char* const kPrecision = "  precision: fp32";
const char* const kExchange = "  exchange: {wire: same, every: 1}";
const char* const kDeadline = "  deadline: auto";
const char* const kStop = "stop: {epochs: 3}";
const char* const kRepeats = "repeats: 1";
const char* const kTwo = "  - {name: two, pool: here, ranks: 2}";

// Name, line, what stands there instead; place, path; expected, found, advice.
const Mistake kMistakes[] = {
    // The form of the file.
    {"Unclosed", kModel, "model: {kind: cnn", "3:5", "", "not YAML", "flow", "indentation, brackets, quotes"},
    {"Tab", kBatch, "\tbatch: 128", "5:1", "", "spaces", "a tab", "indent with spaces"},
    {"Latin1", kModel, "model: {kind: cnn}  # caf\xe9", "2:26", "", "UTF-8 text", "byte 233", "save the file as UTF-8"},
    {"SecondDocument", kRepeats, "repeats: 1\n---\nrepeats: 2", "15:1", "", "one document", "---", "split the file"},
    {"TooDeep", kModel, "model: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "2:39", "",
     "at most 32 levels", "more", "stray bracket"},
    {"Alias", kBatch, "  seed: &seed 1\n  batch: *seed", "6:3", "train.batch", "an integer", "an alias",
     "write the value itself"},
    {"Tag", kBatch, "  batch: !!int 128", "5:10", "", "a plain value", "tag:yaml.org,2002:int", "remove the tag"},
    {"ListAsKey", kRepeats, "[repeats]: 1", "13:1", "", "text", "a list", "write KEY: VALUE"},
    // Keys.
    {"UnknownKey", kBatch, "  batch: 128\n  bach: 128", "6:3", "train.bach", "known: accumulate, batch", "\"bach\"",
     "Did you mean \"batch\"?"},
    {"UnknownTopKey", kRepeats, "repeat: 1", "13:1", "repeat", "configurations, data, model", "\"repeat\"",
     "Did you mean \"repeats\"?"},
    {"UnknownFarKey", kRepeats, "colour: blue", "13:1", "colour", "known: configurations, data", "\"colour\"",
     "repeats, stop, train"},
    {"DuplicateKey", kBatch, "  batch: 128\n  batch: 64", "6:3", "train.batch", "once", "line 5", "remove one"},
    {"MissingKey", kBatch, "  seed: 1", "4:1", "train.batch", "an integer", "nothing", "write batch: 128"},
    {"MisspeltRequiredKey", kBatch, "  bach: 128", "5:3", "train.bach", "known: accumulate, batch", "\"bach\"",
     "Did you mean \"batch\"?"},
    {"MissingMap", kModel, "# no model", "1:1", "model", "a map", "nothing", "write model: {kind: cnn}"},
    {"EmptyValue", kBatch, "  batch:", "5:3", "train.batch", "an integer", "nothing", "write a value after the colon"},
    {"MisplacedList", kStop, "stop: [3]", "12:1", "stop", "a map", "a list", "write a map"},
    // Types.
    {"TextForInteger", kBatch, "  batch: many", "5:3", "train.batch", "an integer", "\"many\"", "write an integer"},
    {"FractionForInteger", kBatch, "  batch: 12.5", "5:3", "train.batch", "an integer", "\"12.5\"", "write an integer"},
    {"QuotedInteger", kBatch, "  batch: \"128\"", "5:3", "train.batch", "an integer", "\"128\"", "remove the quotes"},
    {"HugeInteger", kBatch, "  batch: 99999999999999999999", "5:3", "train.batch", "an integer",
     "\"99999999999999999999\"", "write an integer"},
    {"NegativeSeed", kBatch, "  batch: 128\n  seed: -1", "6:3", "train.seed", "at least 0", "\"-1\"", "write"},
    {"TextForNumber", kOptimizer, "  optimizer: {kind: sgd, lr: fast}", "6:26", "train.optimizer.lr", "a number",
     "\"fast\"", "write a number"},
    {"NotFinite", kOptimizer, "  optimizer: {kind: sgd, lr: inf}", "6:26", "train.optimizer.lr", "a number", "\"inf\"",
     "write a number"},
    {"YesForTrue", kOptimizer, "  optimizer: {nesterov: yes, momentum: 0.9}", "6:15", "train.optimizer.nesterov",
     "true or false", "\"yes\"", "write true or false"},
    {"BadDuration", kDeadline, "  deadline: 5min", "11:3", "train.deadline", "auto or a duration", "\"5min\"",
     "such as 90, 5s, 2m or 1h"},
    {"BadSize", kData, "data: {format: idx, path: mnist, memory: 2GB}", "3:34", "data.memory", "a memory size",
     "\"2GB\"", "2GiB"},
    {"BadAmount", kStop, "stop: {epochs: 3, max_cost_usd: $5}", "12:19", "stop.max_cost_usd", "a decimal amount",
     "\"$5\"", "0.08925"},
    {"MapForItem", kTwo, "  - two", "16:5", "configurations[1]", "a map", "\"two\"", "write a map"},
    // Words.
    {"UnknownOptimizer", kOptimizer, "  optimizer:\n    kind: adamm", "7:5", "train.optimizer.kind",
     "known: adam, adamw, sgd", "unknown optimizer \"adamm\"", "Did you mean \"adam\"?"},
    {"UnknownModel", kModel, "model: {kind: cmn}", "2:9", "model.kind", "cnn, lstm, mlp, resnet18", "\"cmn\"",
     "Did you mean \"cnn\"?"},
    {"UnknownFormat", kData, "data: {format: csv, path: mnist}", "3:8", "data.format", "idx, imagefolder", "\"csv\"",
     "known:"},
    {"UnknownPrecision", kPrecision, "  precision: float32", "8:3", "train.precision", "auto, bf16, fp16, fp32, fp64",
     "\"float32\"", "known:"},
    {"UnknownShares", kBatch, "  batch: 128\n  shares: mesured", "6:3", "train.shares", "known: equal, measured",
     "unknown shares \"mesured\"", "Did you mean \"measured\"?"},
    {"UnknownBackend", kTwo, "  - {name: two, ranks: 2, backend: gloo}", "16:27", "configurations[1].backend",
     "known: mpi, nccl", "\"gloo\"", "known:"},
    // Ranges.
    {"ZeroBatch", kBatch, "  batch: 0", "5:3", "train.batch", "at least 1", "found 0", "write a value at least 1"},
    {"ZeroRate", kOptimizer, "  optimizer: {kind: sgd, lr: 0}", "6:26", "train.optimizer.lr", "above 0", "found 0",
     "write a value above 0"},
    {"HugeRate", kOptimizer, "  optimizer: {kind: sgd, lr: 1e300}", "6:26", "train.optimizer.lr", "at most 1e+30",
     "found 1e+300", "write a value at most 1e+30"},
    {"FullMomentum", kOptimizer, "  optimizer: {kind: sgd, momentum: 1}", "6:26", "train.optimizer.momentum", "below 1",
     "found 1", "write a value below 1"},
    {"Betas", kOptimizer, "  optimizer: {kind: adam, betas: [0.9, 1.5]}", "6:27", "train.optimizer.betas", "below 1",
     "found 1.5", "write a value below 1"},
    {"OneBeta", kOptimizer, "  optimizer: {kind: adam, betas: [0.9]}", "6:27", "train.optimizer.betas", "2 entries",
     "a list", "this list has 1"},
    {"Accuracy", kStop, "stop: {target_accuracy: 98}", "12:8", "stop.target_accuracy", "at most 1", "found 98",
     "write a value at most 1"},
    {"ZeroEpochs", kStop, "stop: {epochs: 0}", "12:8", "stop.epochs", "at least 1", "found 0", "at least 1"},
    {"ZeroRepeats", kRepeats, "repeats: 0", "13:1", "repeats", "at least 1", "found 0", "at least 1"},
    {"ZeroRanks", kTwo, "  - {name: two, ranks: 0}", "16:17", "configurations[1].ranks", "at least 1", "found 0",
     "at least 1"},
    {"ZeroThreads", kTwo, "  - {name: two, ranks: 2, threads: 0}", "16:27", "configurations[1].threads", "at least 1",
     "found 0", "at least 1"},
    {"BadName", kTwo, "  - {name: two ranks, ranks: 2}", "16:6", "configurations[1].name", "letters, digits",
     "\"two ranks\"", "letters, digits"},
    {"PathInName", kTwo, "  - {name: ../two, ranks: 2}", "16:6", "configurations[1].name", "letters, digits",
     "\"../two\"", "letters, digits"},
    // Keys that belong beside another.
    {"HiddenInCnn", kModel, "model: {kind: cnn, hidden: [64]}", "2:20", "model.hidden", "beside kind: mlp", "a list",
     "remove this key"},
    {"ThreeChannels", kModel, "model: {kind: cnn, channels: [8, 16, 32]}", "2:20", "model.channels", "2 entries",
     "a list", "this list has 3"},
    {"PathOfSynthetic", kData, "data: {format: synthetic, path: mnist, samples: 64, shape: [1, 28, 28], classes: 10}",
     "3:27", "data.path", "beside format: idx", "\"mnist\"", "remove this key"},
    {"NoPath", kData, "data: {format: idx}", "3:1", "data.path", "text", "nothing", "write the dataset's file"},
    {"NoClasses", kData, "data: {format: synthetic, samples: 64, shape: [1, 28, 28]}", "3:1", "data.classes",
     "an integer", "nothing", "write classes: 10"},
    {"OneClass", kData, "data: {format: synthetic, samples: 64, shape: [1, 28, 28], classes: 1}", "3:60",
     "data.classes", "at least 2", "found 1", "write a value at least 2"},
    {"LargeImages", kData, "data: {format: imagefolder, path: mnist, size: [32, 10001]}", "3:42", "data.size",
     "at most 10000", "found 10001", "write a value at most 10000"},
    {"LargeVocabulary", kData, "data: {format: synthetic, samples: 64, length: 8, vocabulary: 257}", "3:51",
     "data.vocabulary", "at most 256", "found 257", "write a value at most 256"},
    {"FlatShape", kData, "data: {format: synthetic, samples: 64, shape: [784], classes: 10}", "3:40", "data.shape",
     "3 entries", "a list", "this list has 1"},
    {"BetasOfSgd", kOptimizer, "  optimizer: {kind: sgd, betas: [0.9, 0.99]}", "6:26", "train.optimizer.betas",
     "beside kind: adam or adamw", "a list", "remove this key"},
    {"GammaOfConstant", kSchedule, "  schedule: {kind: constant, gamma: 0.1}", "7:30", "train.schedule.gamma",
     "beside kind: step", "\"0.1\"", "remove this key"},
    // Rules across keys.
    {"NoStop", kStop, "# no stop", "1:1", "stop", "at least one of epochs", "none", "write stop: {epochs: 3}"},
    {"StopWithoutEvaluation", kTwo, "  - {name: two, ranks: 2, train: {evaluate: never}, stop: {target_loss: 0.1}}",
     "16:60", "configurations[1].stop.target_loss", "train.evaluate: every_epoch", "never", "or another stop"},
    {"NesterovAlone", kOptimizer, "  optimizer: {kind: sgd, nesterov: true}", "6:26", "train.optimizer.nesterov",
     "momentum above 0", "found 0", "write momentum: 0.9"},
    {"StepAlone", kSchedule, "  schedule: {kind: step, gamma: 0.1}", "7:14", "train.schedule.kind", "step_epochs",
     "found nothing", "write step_epochs: 10"},
    {"OneCycleAlone", kSchedule, "  schedule: {kind: one_cycle}", "7:14", "train.schedule.kind", "max_lr",
     "found nothing", "write max_lr"},
    {"WireOfFp64", kTwo, "  - {name: two, ranks: 2, train: {precision: fp64, exchange: {wire: bf16}}}", "16:63",
     "configurations[1].train.exchange.wire", "expected same", "found bf16", "write wire: same"},
    {"OuterAlone", kExchange, "  exchange: {outer: {lr: 1}}", "9:14", "train.exchange.outer", "every above 1",
     "found 1", "write every: 8"},
    {"MeasuredSharesOfLocalStatistics", kBatch, "  batch: 128\n  batch_norm: local\n  shares: measured", "7:3",
     "train.shares", "batch_norm: sync", "found local", "or shares: equal"},
    {"CpuRanksBesideNothing", kTwo, "  - {name: two, ranks: 2, cpu_ranks: 2}", "16:27", "configurations[1].cpu_ranks",
     "backend: nccl", "found mpi", "or count them in ranks"},
    {"CpuRanksBesideAuto", kTwo, "  - {name: two, backend: nccl, ranks: auto, cpu_ranks: 2}", "16:45",
     "configurations[1].cpu_ranks", "a number of ranks", "found auto", "write ranks: 2"},
    {"CpuRanksBeyondAll", kTwo, "  - {name: two, backend: nccl, ranks: 2, cpu_ranks: 65535}", "16:42",
     "configurations[1].cpu_ranks", "at most 65536", "found 65537", "lower ranks or cpu_ranks"},
    {"CpuRanksBelowNone", kTwo, "  - {name: two, backend: nccl, ranks: 2, cpu_ranks: -1}", "16:42",
     "configurations[1].cpu_ranks", "at least 0", "found -1", "at least 0"},
    {"CpuRanksInHalf", kTwo, "  - {name: two, backend: nccl, ranks: 2, cpu_ranks: 2, train: {precision: fp16}}",
     "16:42", "configurations[1].cpu_ranks", "fp32, bf16 or fp64", "found fp16", "leave out cpu_ranks"},
    {"CpuRanksInTf32", kTwo, "  - {name: two, backend: nccl, ranks: 2, cpu_ranks: 2, train: {tf32: true}}", "16:42",
     "configurations[1].cpu_ranks", "train.tf32: false", "found true", "leave out cpu_ranks"},
    {"CpuRanksOnTrial", kTwo, "  - {name: two, backend: nccl, ranks: 2, cpu_ranks: 2, train: {precision: auto}}",
     "16:42", "configurations[1].cpu_ranks", "expected a precision", "found auto", "fp32 or bf16"},
    {"HalfOnCpu", kPrecision, "  precision: fp16", "8:3", "train.precision", "backend: nccl", "found mpi",
     "write precision: fp32"},
    {"Tf32OnCpu", kBatch, "  batch: 128\n  tf32: true", "6:3", "train.tf32", "backend: nccl", "found mpi",
     "write tf32: false"},
    {"NoMicroBatch", kBatch, "  batch: 128\n  micro_batch: 0", "6:3", "train.micro_batch", "at least 1", "found 0",
     "at least 1"},
    {"MicroBatch", kBatch, "  batch: 128\n  micro_batch: 256", "6:3", "train.micro_batch", "at most 128", "found 256",
     "smaller micro_batch"},
    {"LstmOnImages", kModel, "model: {kind: lstm}", "2:9", "model.kind", "mlp, cnn or resnet18", "found lstm",
     "or format: text"},
    {"SameNames", kTwo, "  - {name: one, pool: here, ranks: 2}", "16:6", "configurations[1].name", "unique names",
     "\"one\"", "its own name"},
    {"OverrideOutOfRange", kTwo, "  - {name: two, ranks: 2, train: {batch: 0}}", "16:35",
     "configurations[1].train.batch", "at least 1", "found 0", "at least 1"},
    {"OverrideBreaksRule", kTwo, "  - {name: two, ranks: 2, train: {micro_batch: 129}}", "16:35",
     "configurations[1].train.micro_batch", "at most 128", "found 129", "smaller micro_batch"},
    {"CosineWithoutEnd", kTwo,
     "  - {name: two, ranks: 2, train: {schedule: {kind: cosine}}, stop: {epochs: none, max_time: 1h}}", "16:46",
     "configurations[1].train.schedule.kind", "stop.epochs", "found nothing", "write stop: {epochs: 10}"},
};

// One for each key in jobs/unsupported.cpp.
const Mistake kLater[] = {
    {"LaterEvery", kTwo, "  - {name: two, ranks: 2, backend: nccl, train: {exchange: {every: 8}}}", "16:61",
     "configurations[1].train.exchange.every", "expected 1 with backend: nccl", "found 8", "write 1"},
    {"LaterCheckpoint", kBatch, "  batch: 128\n  checkpoint: every_epoch", "6:3", "train.checkpoint", "expected none",
     "found every_epoch", "write none"},
    {"LaterOverride", kTwo, "  - {name: two, ranks: 2, train: {checkpoint: every_epoch}}", "16:35",
     "configurations[1].train.checkpoint", "expected none", "found every_epoch", "write none"},
};

}  // namespace

std::span<const Mistake> job_mistakes() {
  return kMistakes;
}
std::span<const Mistake> job_later() {
  return kLater;
}

}  // namespace regatta::test
