"""Sums over the ranks of a host: through shared memory against MPI_Allreduce in place, with its best algorithm.

    ./dev bench allreduce [--ranks 2,4] [--rounds 21] [--json]

Each of Open MPI's tuned algorithms gets an mpirun of its own, in which both ways take turns; per size the ratio is that of
the algorithm with the least median. The goal is 4 at two ranks where gradients need no copy, from 64 KiB to 64 MiB.
"""
import argparse
import json
import os

import peers

GOAL = 4
ALGORITHMS = {"default": None, "basic_linear": 1, "nonoverlapping": 2, "recursive_doubling": 3, "ring": 4,
              "segmented_ring": 5, "rabenseifner": 6}


def measure(ranks, algorithm, rounds):
    options = ["--bind-to", "none", "--oversubscribe", "--mca", "mpi_yield_when_idle",
               int(ranks > len(os.sched_getaffinity(0)))]
    if algorithm is not None:
        options += ["--mca", "coll_tuned_use_dynamic_rules", 1, "--mca", "coll_tuned_allreduce_algorithm", algorithm]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
    text = peers.run(["mpirun", "-np", ranks, *options, peers.BIN / "bench_allreduce", rounds], env=environment)
    return [json.loads(line) for line in text.splitlines()]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench allreduce", description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", default="2,4")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows, met = [], True
    for ranks in map(int, options.ranks.split(",")):
        best = {}
        for name, algorithm in ALGORITHMS.items():
            for row in measure(ranks, algorithm, options.rounds):
                if row["bytes"] not in best or row["mpi_s"] < best[row["bytes"]]["mpi_s"]:
                    best[row["bytes"]] = dict(row, ranks=ranks, algorithm=name)
        for row in best.values():
            row["ratio"] = row["mpi_s"] / row["window_s"]
            row["ratio_copied"] = row["mpi_s"] / row["window_copied_s"]
            met = met and (ranks != 2 or row["ratio"] >= GOAL)
            rows.append(row)
            if not options.json:
                print("ranks {ranks}  {kib:6.0f} KiB  window {window_s:.6f} s  copied in and out {window_copied_s:.6f} s  "
                      "MPI_Allreduce {mpi_s:.6f} s ({algorithm})  ratio {ratio:.2f}, copied {ratio_copied:.2f}".format(
                          kib=row["bytes"] / 1024, **row), flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))
    raise SystemExit(0 if met else 1)


if __name__ == "__main__":
    main()
