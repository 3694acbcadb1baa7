#include "worker/worker.hpp"

int main(int argc, char** argv) {
  return regatta::worker_main(argc, argv);
}
