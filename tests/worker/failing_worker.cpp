// regatta-worker with one wish: REGATTA_TEST_FAIL="RANK BATCH KIND" makes the loader of that rank, before that batch,
// throw a DataError (data), run out of memory (memory) or never come back (stall). KIND "end" makes rank 0's disk so
// slow that writing the weights takes three seconds.

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <new>
#include <sstream>
#include <string>
#include <thread>

#include "common/error.hpp"
#include "worker/worker.hpp"

int main(int argc, char** argv) {
  const char* told = std::getenv("REGATTA_TEST_FAIL");
  std::istringstream wish(told == nullptr ? "" : told);
  int failing_rank = 0;
  std::int64_t failing_batch = 0;
  std::string kind;
  wish >> failing_rank >> failing_batch >> kind;
  regatta::WorkerWraps wraps;
  wraps.before_batch = [=](int rank, std::int64_t batch) {
    if (kind == "end" || rank != failing_rank || batch != failing_batch) return;
    if (kind == "data") throw regatta::DataError("sample 17 is damaged");
    if (kind == "memory") throw std::bad_alloc();
    for (;;) ::pause();  // until somebody ends this process
  };
  if (kind == "end") wraps.before_end = [] { std::this_thread::sleep_for(std::chrono::seconds(3)); };
  return regatta::worker_main(argc, argv, wraps);
}
