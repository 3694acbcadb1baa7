#pragma once
// PyTorch's numbers for a model from formula weights and data: what tests/oracle/models.py wrote, read back.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "jobs/models.hpp"

namespace regatta::test {

/// "small_cnn", "full_lstm", ...: the same sizes as in the script.
struct OracleCase {
  std::string name;
  ModelSpec spec;
  DatasetIndex data;
  std::int64_t batch = 0, inputs = 0;  ///< samples; the formula's tensor that they are
};
const std::vector<OracleCase>& oracle_cases();
const OracleCase& oracle_case(const std::string& name);

/// With formula weights, in training mode.
std::unique_ptr<Model> oracle_model(const OracleCase& oracle, Precision precision);
struct OracleBatch {
  at::Tensor inputs, targets;
};
/// Formula samples [first, first + count) of the batch.
OracleBatch oracle_batch(const OracleCase& oracle, Precision precision, std::int64_t first, std::int64_t count);

/// One fixture.
class Expected {
 public:
  explicit Expected(const OracleCase& oracle);
  double loss(std::size_t step) const;
  /// The largest ||found - expected|| / ||expected|| of the tensors PREFIX/NAME; full sizes are compared in the norm
  /// and 64 entries. Infinite when the fixture has no such tensor.
  double difference(const std::string& prefix, const NamedTensors& found) const;
  std::size_t tensors(const std::string& prefix) const;

 private:
  bool whole_;
  std::map<std::string, std::vector<double>> values_;
};

}  // namespace regatta::test
