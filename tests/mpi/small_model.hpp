#pragma once
// A few parameters of several sizes, trained by an exchanger, to hold one exchanger's weights against another's.

#include <functional>
#include <iosfwd>
#include <optional>
#include <vector>

#include "tests/mpi/exchangers.hpp"
#include "tests/mpi/world.hpp"
#include "worker/lap_clock.hpp"

namespace regatta::test {

/// Its gradients are drawn from (rank, step, pass, parameter), and positive: adam makes a whole step of what rounding
/// leaves where a sum cancels. They do not depend on the weights: so the host, as beside a GPU, never waits for a
/// device that it does not ask.
class SmallModel {
 public:
  static constexpr std::int64_t kGlobalSamples = 8;
  using Make = std::function<MadeExchanger(ExchangerParts)>;

  /// Collective.
  SmallModel(at::ScalarType type, std::optional<double> clip_norm, const Make& make,
             Watchdog& watchdog = world().watchdog);
  SmallModel(const ExchangeWay& way, const OptimizerSpec& rule, std::optional<double> clip_norm);

  /// Collective, all of them. What finish_step returns:
  std::optional<StepOutcome> step(std::int64_t passes = 1, const StepVotes& votes = {});
  /// As if the next step had changed nothing.
  void leave_out_step() { ++step_; }
  std::vector<at::Tensor> weights() const;  ///< settled; an outcome in flight is lost
  Exchanger& exchanger() { return *made_.exchanger; }
  LateDevice* device() { return made_.device.get(); }
  Device* around() { return made_.around.get(); }
  std::function<void()> before_backward;                                    ///< called in each pass, where there is one
  const LossScale& loss_scale() const { return *made_.loss_scale; }         ///< of a way that has one
  const std::vector<Parameter>& parameters() const { return parameters_; }  ///< that a device may be writing

 private:
  void backward(std::int64_t pass);
  at::Tensor scaled(const at::Tensor& parameter, const at::Tensor& gradient);

  LapClock clock_;
  std::vector<Parameter> parameters_;
  MadeExchanger made_;
  std::int64_t step_ = 0;
};

/// Norm of the difference over the norm, over all of them.
double distance(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b);

/// What exchangers must agree on.
struct Rule {
  const char* name;
  OptimizerSpec spec;
  std::optional<double> clip_norm = {};
  std::int64_t passes = 1;

  double float_tolerance() const { return spec.kind == OptimizerKind::kSgd ? 1e-6 : 1e-5; }
};
/// The weights after `steps` steps of such a training. Collective.
std::vector<at::Tensor> trained(const ExchangeWay& way, const Rule& rule, int steps);
void PrintTo(const Rule& rule, std::ostream* out);
std::vector<Rule> rules();

}  // namespace regatta::test
