#pragma once
// The quick notice from rank 0 to its coordinator over TCP on loopback. The journal stays the truth: a lost link loses
// nothing, and every word from outside is checked.
//
// Grammar: lines of JSON, at most kLinkLineLimit bytes, '\n' after each.
//   worker -> coordinator, first:  {"token": HEX, "run_id": ULID, "attempt": N}
//   then any number of:            {"type": "journal", "seq": N}            a journal line N is durable: read the file
//                                  {"type": "progress", "epoch", "step", "steps_per_epoch", "loss", "samples_per_s",
//                                   "phase": "train" | "evaluate"}          at most four a second
//   coordinator -> worker: nothing. A wrong first line closes the connection.
// The token is 32 random bytes in hex in the 0600 file RUN_DIR/attempt-K/link.json {"port": N, "token": HEX}.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "common/ids.hpp"

namespace regatta {

constexpr std::size_t kLinkLineLimit = 4096;

struct LinkHello {
  std::string token;
  RunId run_id;
  int attempt = 1;
};
struct JournalNotice {
  std::int64_t seq = 0;
};
struct Progress {
  int epoch = 1;          ///< from 1
  std::int64_t step = 0;  ///< within the epoch
  std::int64_t steps_per_epoch = 0;
  double loss = 0;           ///< NaN travels as null
  double samples_per_s = 0;  ///< over the last interval, all ranks
  std::string phase = "train";
};
using LinkMessage = std::variant<LinkHello, JournalNotice, Progress>;

/// One line without newline.
std::string encode(const LinkMessage&);
/// Throws CommError for a line that is too long, no JSON, or no known message.
LinkMessage decode(std::string_view line);

}  // namespace regatta
