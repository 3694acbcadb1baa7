#pragma once
// The learning rate of every step, as a pure function: the same on all ranks, and after a resume.

#include <cstdint>
#include <optional>

#include "jobs/spec.hpp"

namespace regatta {

/// How long a training is meant to be; cosine and one_cycle need its end.
struct TrainingLength {
  std::int64_t steps_per_epoch = 1;
  std::optional<std::int64_t> epochs;
};

/// Of step `step` (from 0), beginning at `lr` (train.optimizer.lr):
///   constant   lr
///   step       lr x gamma ^ floor(epoch / step_epochs), epochs from 0                        (torch StepLR by epoch)
///   cosine     min_lr + (lr - min_lr)/2 x (1 + cos(pi t/T)), T the steps after the warm-up   (torch CosineAnnealingLR)
///   one_cycle  half a cosine from lr up to max_lr, then half a cosine down to lr / 10^4      (torch OneCycleLR)
/// A warm-up of w steps makes step s < w run at (s + 1)/w of the rate; cosine begins after it. In one_cycle it is the
/// length of the way up, 30 % of the steps where it is 0. Past the end the rate stays what it was last.
double learning_rate(const ScheduleSpec& schedule, double lr, std::int64_t step, const TrainingLength& length);

}  // namespace regatta
