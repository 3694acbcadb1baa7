"""From spawn to the end of the first step: our worker against PyTorch DDP, one and two ranks, alternating.

    ./dev bench start [--rounds 5] [--models mlp,cnn] [--ranks 1,2] [--json]

Ours is `regatta-worker job.yaml` by hand, under mpirun where there are two ranks: it makes the plan, reads MNIST and writes
its files. The clock stops at the stamp of its first_step line. The yardstick is ddp.py as it is, on random tensors; a hook that
Python loads beside it notes when the optimizer of the last rank has made its first step. One rank is pinned to one core.
"""
import argparse
import datetime
import json
import os
import pathlib
import subprocess
import tempfile
import time

import peers

GOAL = 1  # times the yardstick's start, at most
BATCH = 128  # over all ranks


def measure_peer(python, model, ranks, core):
    with tempfile.TemporaryDirectory() as folder:
        environment = peers.noting_first_steps(folder)
        begin = time.time()
        # gloo now and then aborts while it is taken down, long after what is measured: no exit code is asked for.
        done = subprocess.run(peers.pinned([python, peers.peer("ddp.py"), "--model", model, "--ranks", ranks, "--threads", 1,
                                            "--batch", BATCH // ranks, "--steps", 1], core),
                              capture_output=True, text=True, env=environment)
        found = peers.first_steps(folder)
    if len(found) != ranks:
        raise SystemExit(f"{len(found)} of {ranks} ranks of ddp.py noted their first step:\n{done.stdout}{done.stderr}")
    return max(found) - begin


def measure_ours(model, ranks, core):
    with tempfile.TemporaryDirectory() as folder:
        job = pathlib.Path(folder) / "job.yaml"
        job.write_text(f"name: start\nmodel: {{kind: {model}}}\n"
                       f"data: {{format: idx, path: {peers.ROOT / 'jobs/examples/data/mnist'}}}\ntrain:\n  batch: {BATCH}\n"
                       "  optimizer: {kind: sgd, lr: 0.01, momentum: 0.9}\n  evaluate: never\n"
                       "stop: {epochs: 1, max_time: 1s}\n"  # a few steps
                       f"configurations: [{{name: start, ranks: {ranks}}}]\n")
        run_dir = pathlib.Path(folder) / "run"
        begin = time.time()
        peers.run([*peers.launcher(ranks), peers.BIN / "regatta-worker", job, "--run-dir", run_dir, "--quiet"], core,
                  env=peers.launch_environment())
        lines = peers.journal(run_dir)
    first = next(line for line in lines if line["type"] == "first_step")
    return datetime.datetime.fromisoformat(first["at"].replace("Z", "+00:00")).timestamp() - begin


def main():
    parser = argparse.ArgumentParser(prog="./dev bench start", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", default="mlp,cnn")
    parser.add_argument("--ranks", default="1,2")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    python = peers.python()
    peers.peer("ddp.py")
    rows = []
    for model in options.models.split(","):
        for ranks in map(int, options.ranks.split(",")):
            core = max(os.sched_getaffinity(0)) if ranks == 1 else None
            results = peers.alternate(options.rounds, {"ddp": lambda: measure_peer(python, model, ranks, core),
                                                       "regatta": lambda: measure_ours(model, ranks, core)})
            row = {"model": model, "ranks": ranks, "ddp_s": peers.median(results["ddp"]),
                   "regatta_s": peers.median(results["regatta"])}
            row["ratio"] = row["regatta_s"] / row["ddp_s"]
            rows.append(row)
            if not options.json:
                print("{model:4} ranks {ranks}  spawn to step 1: DDP {ddp_s:.2f} s  regatta {regatta_s:.2f} s  ratio "
                      "{ratio:.3f}".format(**row), flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))
    raise SystemExit(0 if all(row["ratio"] <= GOAL for row in rows) else 1)


if __name__ == "__main__":
    main()
