#pragma once
// What mpirun and the ranks say in launch.log when something goes wrong: who it was, and on which host.

#include <optional>
#include <string>
#include <vector>

#include "common/json.hpp"

namespace regatta {

/// Something that ends a launch, seen from outside.
struct Fault {
  enum class Kind {
    kLostHost,    ///< mpirun's daemon there no longer answers
    kEndedRank,   ///< by a signal
    kRankError,   ///< said by a rank itself; the others are at fault where it waited
    kSilentHost,  ///< asked by ssh after another fault, and gave no sign
  };
  Kind kind = Kind::kRankError;
  int code = 1;             ///< what the run ends with when mpirun does not say
  std::optional<int> rank;  ///< that ended or spoke
  std::string host;         ///< empty: not known
  std::string what;         ///< a sentence that names them; may have several lines
  bool operator==(const Fault&) const = default;
};
Json to_json(const Fault&);  ///< the body of a `fault` event

/// In the order of the log, each once. `hosts`: of each rank, for those on a host that was lost; may be empty. Pure.
std::vector<Fault> find_faults(const std::string& log, const std::vector<std::string>& hosts);

/// "host n3 (rank 2)", "host n1 (ranks 0, 1)".
std::string host_words(const std::string& host, const std::vector<std::string>& hosts);

/// The one that explains the others: what was lost before who waited for it. Null: there is none.
const Fault* root_cause(const std::vector<Fault>& faults);

}  // namespace regatta
