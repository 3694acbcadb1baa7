#pragma once
// The words of the job file's enums. SCHEMA.md lists them.

#include "common/enum_text.hpp"
#include "jobs/spec.hpp"

namespace regatta {

inline constexpr EnumText<ModelKind, 4> kModelKinds{{{{ModelKind::kMlp, "mlp"},
                                                      {ModelKind::kCnn, "cnn"},
                                                      {ModelKind::kResnet18, "resnet18"},
                                                      {ModelKind::kLstm, "lstm"}}}};
inline constexpr EnumText<DataFormat, 4> kDataFormats{{{{DataFormat::kIdx, "idx"},
                                                        {DataFormat::kImageFolder, "imagefolder"},
                                                        {DataFormat::kText, "text"},
                                                        {DataFormat::kSynthetic, "synthetic"}}}};
inline constexpr EnumText<OnError, 2> kOnErrors{{{{OnError::kFail, "fail"}, {OnError::kSkip, "skip"}}}};
inline constexpr EnumText<Stage, 2> kStages{{{{Stage::kNone, "none"}, {Stage::kNodeLocal, "node-local"}}}};
inline constexpr EnumText<OptimizerKind, 3> kOptimizerKinds{
    {{{OptimizerKind::kSgd, "sgd"}, {OptimizerKind::kAdam, "adam"}, {OptimizerKind::kAdamw, "adamw"}}}};
inline constexpr EnumText<ScheduleKind, 4> kScheduleKinds{{{{ScheduleKind::kConstant, "constant"},
                                                            {ScheduleKind::kStep, "step"},
                                                            {ScheduleKind::kCosine, "cosine"},
                                                            {ScheduleKind::kOneCycle, "one_cycle"}}}};
inline constexpr EnumText<Precision, 5> kPrecisions{{{{Precision::kFp32, "fp32"},
                                                      {Precision::kBf16, "bf16"},
                                                      {Precision::kAuto, "auto"},
                                                      {Precision::kFp64, "fp64"},
                                                      {Precision::kFp16, "fp16"}}}};
inline constexpr EnumText<BatchNorm, 2> kBatchNorms{{{{BatchNorm::kSync, "sync"}, {BatchNorm::kLocal, "local"}}}};
inline constexpr EnumText<Wire, 2> kWires{{{{Wire::kSame, "same"}, {Wire::kBf16, "bf16"}}}};
inline constexpr EnumText<ShareRule, 2> kShareRules{
    {{{ShareRule::kEqual, "equal"}, {ShareRule::kMeasured, "measured"}}}};
inline constexpr EnumText<Evaluate, 2> kEvaluates{
    {{{Evaluate::kEveryEpoch, "every_epoch"}, {Evaluate::kNever, "never"}}}};
inline constexpr EnumText<Backend, 2> kBackends{{{{Backend::kMpi, "mpi"}, {Backend::kNccl, "nccl"}}}};
inline constexpr EnumText<bool, 2> kCheckpoints{{{{false, "none"}, {true, "every_epoch"}}}};

}  // namespace regatta
