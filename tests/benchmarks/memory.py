"""Memory of a rank between steps, mlp on two ranks in fp32: what training takes beyond the bare library, ours against DDP's.

    ./dev bench memory [--rounds 3] [--seconds 8] [--json]

The proportional set size (smaps_rollup) of each process, two of a kind at once so that what they share is shared alike:
bare_torch (links libtorch as the worker does, one tensor), python that has imported torch, ranks of ddp.py, ranks of ours. Of
ranks that train it is the median over the later half of their run. Other programs that have the same libtorch open make the
file part smaller; anonymous and shared memory are the ranks' own. Goal: (DDP - python) - (ours - libtorch) is at least half a
copy of the gradients.
"""
import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile
import time

import peers

RANKS = 2
BATCH = 64  # a rank
KINDS = {"pss": "Pss", "anonymous": "Pss_Anon", "file": "Pss_File", "shared": "Pss_Shmem"}
PYTHON = "import sys, torch; print(torch.ones(1).item(), flush=True); sys.stdin.read()"
INTERVAL_S = 0.1


def memory_of(pid):
    """{kind: bytes} of a process; None when it has ended."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # gone, or a zombie
        return None
    found = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines[1:]}
    return {kind: found[key] for kind, key in KINDS.items()} if found else None


def middle(samples):
    return {kind: peers.median([sample[kind] for sample in samples]) for kind in KINDS}


def waiting(arguments):
    """Mean over two processes that say a line and then wait for the end of their input."""
    with contextlib.ExitStack() as ending:
        both = []
        for _ in range(RANKS):
            process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
            ending.callback(process.wait)
            ending.callback(process.stdin.close)
            both.append(process)
        if not all(process.stdout.readline() for process in both):
            raise SystemExit(f"{arguments[0]} ended without a word")
        return mean_of([memory_of(process.pid) for process in both])


def mean_of(processes):
    return {kind: sum(found[kind] for found in processes) / len(processes) for kind in KINDS}


def over_a_run(pids, is_over):
    """Mean over the processes of the median over the later half of what was seen until `is_over`."""
    samples = {pid: [] for pid in pids}
    while not is_over():
        for pid, seen in samples.items():
            found = memory_of(pid)
            if found:
                seen.append(found)
        time.sleep(INTERVAL_S)
    if any(len(seen) < 10 for seen in samples.values()):
        raise SystemExit("the run was too short to look at; give more --seconds")
    return mean_of([middle(seen[len(seen) // 2:-1]) for seen in samples.values()])


def wait_for(condition, processes, what):
    deadline = time.monotonic() + 120
    while not condition():
        if any(process.poll() is not None for process in processes) or time.monotonic() > deadline:
            raise SystemExit(f"{what} made no first step")
        time.sleep(0.05)


def measure_ddp(python, seconds):
    """Ranks by hand: without a parent that has torch open too, which would count as a third to share with."""
    with tempfile.TemporaryDirectory() as folder:
        ranks = [subprocess.Popen(
            [python, peers.peer("ddp.py"), "--model", "mlp", "--ranks", str(RANKS), "--threads", "1", "--batch", str(BATCH),
             "--steps", "100000"], stdout=subprocess.DEVNULL,
            env=peers.noting_first_steps(folder, RANK=str(rank), WORLD_SIZE=str(RANKS), MASTER_ADDR="127.0.0.1"))
            for rank in range(RANKS)]
        try:
            wait_for(lambda: len(peers.first_steps(folder)) == RANKS, ranks, "ddp.py")
            end = time.monotonic() + seconds
            found = over_a_run([process.pid for process in ranks], lambda: time.monotonic() > end)
            if any(process.poll() is not None for process in ranks):
                raise SystemExit("a rank of ddp.py ended early")
            return found
        finally:
            for process in ranks:
                process.kill()
                process.wait()


def measure_ours(seconds):
    with tempfile.TemporaryDirectory() as folder:
        job = pathlib.Path(folder) / "job.yaml"
        job.write_text("name: memory\nmodel: {kind: mlp}\n"  # data like the yardstick's: next to none
                       f"data: {{format: synthetic, samples: {20 * RANKS * BATCH}, shape: [1, 28, 28], classes: 10}}\n"
                       f"train:\n  batch: {RANKS * BATCH}\n  precision: fp32\n  evaluate: never\n"
                       "  optimizer: {kind: sgd, lr: 0.01, momentum: 0.9}\n"
                       f"stop: {{epochs: 1000000, max_time: {seconds + 2}s}}\n"
                       f"configurations: [{{name: two, ranks: {RANKS}}}]\n")
        run_dir = pathlib.Path(folder) / "run"
        command = [*peers.launcher(RANKS), peers.BIN / "regatta-worker", job, "--run-dir", run_dir, "--quiet"]
        process = subprocess.Popen([str(a) for a in command], env=peers.launch_environment())
        try:
            wait_for(lambda: any(line["type"] == "first_step" for line in peers.journal(run_dir)), [process],
                     "regatta-worker")
            start = next(line for line in peers.journal(run_dir) if line["type"] == "start")
            found = over_a_run([rank["pid"] for rank in start["ranks"]], lambda: process.poll() is not None)
        finally:
            process.terminate()
            if process.wait() != 0:
                raise SystemExit(f"regatta-worker ended with {process.returncode}")
        return found | {"gradient_bytes": start["gradient_bytes"], "exchanger": start["exchanger"]}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench memory", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    python = peers.python()
    peers.peer("ddp.py")
    results = peers.alternate(options.rounds, {
        "libtorch": lambda: waiting([peers.BIN / "bench_bare_torch"]),
        "python": lambda: waiting([python, "-c", PYTHON]),
        "ddp": lambda: measure_ddp(python, options.seconds),
        "regatta": lambda: measure_ours(options.seconds)})
    rows = {name: middle(found) for name, found in results.items()}
    gradients = results["regatta"][-1]["gradient_bytes"]
    ddp, ours = (rows["ddp"]["pss"] - rows["python"]["pss"], rows["regatta"]["pss"] - rows["libtorch"]["pss"])
    verdict = {"ddp_beyond_python": ddp, "regatta_beyond_libtorch": ours, "gradient_bytes": gradients,
               "saved": ddp - ours, "goal": gradients / 2, "exchanger": results["regatta"][-1]["exchanger"]}
    if options.json:
        print(json.dumps({"rows": rows, **verdict}, indent=2))
    else:
        print(f"{'MB a process':14}" + "".join(f"{kind:>11}" for kind in KINDS))
        for name, row in rows.items():
            print(f"{name:14}" + "".join(f"{row[kind] / 1e6:11.1f}" for kind in KINDS))
        print("mlp, 2 ranks, {exchanger} exchanger: DDP takes {0:.1f} MB beyond python, regatta {1:.1f} MB beyond libtorch: "
              "{2:.1f} MB less (goal: half of the gradients, {3:.1f} MB)".format(
                  ddp / 1e6, ours / 1e6, verdict["saved"] / 1e6, verdict["goal"] / 1e6, **verdict))
    raise SystemExit(0 if verdict["saved"] >= verdict["goal"] else 1)


if __name__ == "__main__":
    main()
