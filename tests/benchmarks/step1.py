"""One rank's training step against PyTorch's, both pinned to one core, alternating; and from process start to step 1.

    ./dev bench step1 [--rounds 3] [--models mlp,cnn,lstm,resnet18] [--core N] [--json]

The yardstick is ddp.py --ranks 1: forward, backward and optimizer on one batch that is made once. Ours is a whole worker:
its step is wall time from the end of one step to the end of the next, with the loader and the journal.
"""
import argparse
import json
import os
import pathlib
import tempfile

import peers

DATA = {
    "mlp": ("{format: idx, path: %s}" % (peers.ROOT / "jobs/examples/data/mnist"), 128),
    "cnn": ("{format: idx, path: %s}" % (peers.ROOT / "jobs/examples/data/mnist"), 128),
    "lstm": ("{format: synthetic, samples: 640, length: 64, vocabulary: 65}", 16),
    "resnet18": ("{format: synthetic, samples: 640, shape: [3, 32, 32], classes: 10}", 64),
}
PEER_STEPS = {"mlp": 60, "cnn": 60, "lstm": 30, "resnet18": 8}
EPOCHS = {"mlp": 2, "cnn": 2, "lstm": 2, "resnet18": 2}  # the first one warms up


def measure_peer(model, core):
    text = peers.run([peers.python(), peers.peer("ddp.py"), "--model", model, "--ranks", 1, "--threads", 1, "--batch",
                      DATA[model][1], "--steps", PEER_STEPS[model]], core)
    return {"step": json.loads(text)["step_s_median"]}


def measure_ours(model, core):
    data, batch = DATA[model]
    with tempfile.TemporaryDirectory() as folder:
        job = pathlib.Path(folder) / "job.yaml"
        job.write_text(f"name: step1\nmodel: {{kind: {model}}}\ndata: {data}\ntrain:\n  batch: {batch}\n"
                       "  optimizer: {kind: sgd, lr: 0.01, momentum: 0.9}\n  evaluate: never\n"
                       f"stop: {{epochs: {EPOCHS[model]}}}\nconfigurations: [{{name: one, ranks: 1}}]\n")
        run_dir = pathlib.Path(folder) / "run"
        peers.run([peers.BIN / "regatta-worker", job, "--run-dir", run_dir, "--quiet"], core)
        lines = [json.loads(line) for line in (run_dir / "attempt-1" / "journal.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["type"] == "epoch"]
    seconds = epochs[-1]["seconds"]
    return {"step": epochs[-1]["step_s"]["median"],
            "start": next(line["startup_s"] for line in lines if line["type"] == "first_step"),
            "data_wait": seconds["data_wait"] / epochs[-1]["wall_s"]}


def main():
    parser = argparse.ArgumentParser(prog="./dev bench step1", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="mlp,cnn,lstm,resnet18")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for model in options.models.split(","):
        results = peers.alternate(options.rounds, {"pytorch": lambda: measure_peer(model, options.core),
                                                   "regatta": lambda: measure_ours(model, options.core)})
        step = {name: peers.median([r["step"] for r in found]) for name, found in results.items()}
        row = {"model": model, "batch": DATA[model][1], "pytorch_step_s": step["pytorch"], "regatta_step_s": step["regatta"],
               "ratio": step["regatta"] / step["pytorch"],
               "start_to_step1_s": peers.median([r["start"] for r in results["regatta"]]),
               "data_wait": peers.median([r["data_wait"] for r in results["regatta"]])}
        rows.append(row)
        if not options.json:
            print("{model:9} batch {batch:4}  pytorch {pytorch_step_s:.5f} s  regatta {regatta_step_s:.5f} s  ratio "
                  "{ratio:.3f}  start to step 1 {start_to_step1_s:.2f} s  data_wait {data_wait:.2%}".format(**row), flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
