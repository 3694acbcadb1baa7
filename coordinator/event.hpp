#pragma once
// What can happen, as it stands in the ledger. An event is appended before anything is done about it.
//
//   kind        source       run_id         body
//   comparison  coordinator  (comparison's) {comparison_id, job_id, job_name, job_text, cluster|null, argv, at}
//   run         coordinator  run            {comparison_id|null, configuration, repeat, order, run_dir, pool, backend,
//                                            nodes, ranks, threads, cores_per_node, gpus_per_node, contended,
//                                            price|null, training, dataset_key, test_count}
//   owner       coordinator  run            {host, boot_id, pid, start_time, fence}
//   launch      coordinator  run, attempt   {argv, at, job_name?}
//   job         coordinator  run, attempt   {id, state, nodes, submitted_at, held_from, held_to}
//   journal     journal      run, attempt   one line of journal.jsonl, as written; source_seq = its seq
//   exit        coordinator  run, attempt   {code, signal|null, reason, message, held_s, startup_s, asked_to_stop}
//   lost        coordinator  run, attempt   {last_sign, held_s, startup_s, message}
//   end         coordinator  run            {status, reason, result|null, bill|null}
//   price       coordinator  run            {price}: an imported run learns one
//   contended   coordinator  run            {}: a guest shared its cores
//
// LEDGER.md has the types and the rules of the fold. Append `run` and its first `owner` in one call, so that no crash
// leaves a run that nobody may close. A comparison's events carry its id in run_id, so that UNIQUE(run_id, attempt,
// source, source_seq) holds for them too.

#include <cstdint>
#include <string>

#include "common/ids.hpp"
#include "common/json.hpp"
#include "common/time.hpp"

namespace regatta {

constexpr int kEventSchema = 1;

struct Event {
  std::int64_t seq = 0;  ///< given by the ledger
  Timestamp at;
  std::string run_id;
  int attempt = 0;     ///< 0: not of an attempt
  std::string source;  ///< coordinator | journal
  std::int64_t source_seq = 0;
  std::string kind;
  int schema = kEventSchema;
  Json body;
};

}  // namespace regatta
