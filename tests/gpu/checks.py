"""What checks.sh runs, one check a call. Standard library alone; every number comes from journals, weights and exit codes."""
import argparse
import array
import json
import math
import os
import pathlib
import re
import signal
import statistics
import struct
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MODELS = ["mlp", "cnn", "resnet18", "lstm"]
CORES = len(os.sched_getaffinity(0))
FP64_LIMIT = 1e-8
END_WITHIN_S = 15
SPREADS_APART = 4  # means of three seeds, by the larger standard deviation


def say(*words):
    print(*words, flush=True)


def regatta(home, *arguments, check=True, environment=None):
    """Its stdout. The tree's own, with this machine's torch."""
    ended = subprocess.run([HERE / "run.sh", "regatta", *map(str, arguments), "--home", str(home)], text=True,
                           capture_output=True, env={**os.environ, **(environment or {})})
    if check and ended.returncode != 0:
        sys.exit(f"regatta {' '.join(map(str, arguments))} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


class Run:
    """A run's folder: its plan, its journal's lines."""

    def __init__(self, folder):
        self.folder = folder
        self.plan = json.loads((folder / "attempt-1/plan.json").read_text())
        journal = folder / "attempt-1/journal.jsonl"
        self.lines = [json.loads(line) for line in journal.read_text().split("\n")[:-1]] if journal.exists() else []
        self.row = self.plan["placement"]["configuration"]
        self.seed = self.plan["training"]["train"]["seed"]

    def of(self, kind):
        return [line for line in self.lines if line["type"] == kind]


def runs(home):
    return [Run(plan.parent.parent) for plan in sorted(pathlib.Path(home).glob("runs/*/attempt-1/plan.json"))]


def data_for(model):
    """The `data:` value of a model, as text that --set takes; unpacks what travelled packed."""
    if model in ("mlp", "cnn"):
        return f"{{format: idx, path: {HERE}/data/mnist}}"
    if model == "lstm":
        text = HERE / "data/tinyshakespeare.txt"
        return f"{{format: text, path: {text}, length: 64}}" if text.exists() else None
    folder, packed = HERE / "data/cifar10", HERE / "data/cifar10.tar.xz"
    if not folder.exists() and packed.exists():
        with tarfile.open(packed) as files:
            files.extractall(HERE / "data", filter="data")
    return f"{{format: imagefolder, path: {folder}}}" if folder.exists() else None


def small_cifar():
    """Links to 400 pictures of each class to train on and 100 to test on: what a CPU trains while a GPU waits."""
    if data_for("resnet18") is None:
        return None
    small = HERE / "data/cifar10-small"
    for part, count in (("train", 400), ("test", 100)):
        for of_class in sorted((HERE / "data/cifar10" / part).iterdir()):
            to = small / part / of_class.name
            to.mkdir(parents=True, exist_ok=True)
            for picture in sorted(of_class.iterdir())[:count]:
                if not (to / picture.name).exists():
                    os.link(picture, to / picture.name)
    return f"{{format: imagefolder, path: {small}}}"


def job_of(model):
    return HERE / f"jobs/{model}.yaml"


def small_data_for(model):
    return small_cifar() if model == "resnet18" else data_for(model)


def without_data(model):
    say(f"{model}: not run, its data was not packed (pack.sh --data FOLDER)")
    return False


def each_model(data_of, check):
    """Whether check(model, data) is true of all of them; a model without data is said, and is not."""
    good = True
    for model in MODELS:
        data = data_of(model)
        good &= without_data(model) if data is None else check(model, data)
    return good


def cpu_ranks():
    return max(1, min(8, CORES))


def settings(data, **keys):
    """--set arguments; the CPU row takes the cores there are."""
    pairs = {"data": data, "configurations[0].ranks": cpu_ranks(), **keys}
    return [word for key, value in pairs.items() for word in ("--set", f"{key}={value}")]


def agree(_):
    def check(model, data):
        with tempfile.TemporaryDirectory() as home:
            found = json.loads(regatta(home, "run", job_of(model), *settings(data), "--json"))
            agreement = found["verdict"]["agreement"]
            say(model, json.dumps(agreement))
            for run in runs(home):
                say(f"  {run.row}: first losses {[line['losses'][:4] for line in run.of('early')]}, accuracy "
                    f"{[line['test_accuracy'] for line in run.of('epoch')]}")
            return agreement["result"] == "agree"
    return each_model(small_data_for, check)


def numbers(path):
    """All floating-point tensors of a safetensors file, as float64, in the order of their names."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        content = file.read()
    values = array.array("d")
    for name in sorted(header):
        if name == "__metadata__" or header[name]["dtype"] not in ("F32", "F64"):
            continue
        begin, end = header[name]["data_offsets"]
        values.extend(array.array("f" if header[name]["dtype"] == "F32" else "d", content[begin:end]))
    return values


def distance(a, b):
    if len(a) != len(b):
        return math.inf
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / sum(y * y for y in b))


def fp64(_):
    good = True
    for model in ("mlp", "cnn"):
        with tempfile.TemporaryDirectory() as home:
            regatta(home, "run", job_of(model), *settings(data_for(model), **{"train.precision": "fp64",
                                                                              "stop": "{epochs: 1}"}))
            by_row = {run.row: run for run in runs(home)}
            found = distance(*(numbers(by_row[row].folder / "weights.safetensors") for row in ("gpu", "cpu")))
            say(f"{model}: ||gpu - cpu|| / ||cpu|| = {found:.3g} after {by_row['gpu'].of('epoch')[-1]['last_step']} steps "
                f"in fp64, limit {FP64_LIMIT:g}")
            good &= found <= FP64_LIMIT
    return good


def seeds(_):
    def check(model, data):
        good = True
        with tempfile.TemporaryDirectory() as home:
            for seed in (1, 2, 3):
                regatta(home, "run", job_of(model), *settings(data, **{"train.seed": seed, "stop": "{epochs: 3}"}))
            losses = {(run.row, run.seed): [line["train_loss"] for line in run.of("epoch")] for run in runs(home)}
        say(f"{model}: mean training loss by epoch\n  epoch  " +
            "  ".join(f"{row} seed {seed}" for row, seed in sorted(losses)) + "  spread cpu  spread gpu  means apart")
        for epoch in range(3):
            by_row = {row: [losses[row, seed][epoch] for seed in (1, 2, 3)] for row in ("cpu", "gpu")}
            spread = {row: statistics.stdev(by_row[row]) for row in by_row}
            apart = abs(statistics.mean(by_row["cpu"]) - statistics.mean(by_row["gpu"]))
            good &= apart <= SPREADS_APART * max(spread.values())
            say(f"  {epoch + 1:5}  " + "  ".join(f"{losses[key][epoch]:10.5f}" for key in sorted(losses)) +
                "".join(f"  {spread[row]:10.2g}" for row in ("cpu", "gpu")) + f"  {apart:10.2g}")
        return good
    return each_model(small_data_for, check)


def throughput(options):
    batch = 512

    def check(model, data):
        ours = {}
        for precision in ("fp32", "bf16", "fp16"):
            with tempfile.TemporaryDirectory() as home:
                keys = {"train.batch": batch, "train.evaluate": "never", "stop": "{epochs: 3}",
                        "configurations[1].train": f"{{tf32: true, precision: {precision}}}"}  # the GPU row's alone
                regatta(home, "run", job_of(model), "--only", "gpu", *settings(data, **keys))
                last = runs(home)[-1].of("epoch")[-1]
                ours[precision] = last["samples_per_s"]
                say(f"{model} {precision} batch {batch}: {last['samples_per_s']:.0f} samples/s, data_wait "
                    f"{100 * last['seconds']['data_wait'] / last['wall_s']:.1f} % of the epoch, peak "
                    f"{(last.get('device_memory_peak_bytes') or 0) / 2**20:.0f} MiB")
        if not options.yardstick:
            say(f"{model}: no yardstick was given (--yardstick gpu.py)")
            return False
        told = subprocess.run([sys.executable, options.yardstick, "--model", model, "--batch", str(batch)], text=True,
                              capture_output=True)
        say(told.stdout.rstrip() or told.stderr.rstrip())
        lines = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
        fastest = next((line["fastest"]["samples_per_s"] for line in lines if "fastest" in line), None)
        if fastest is None:
            return False
        ratio = max(ours.values()) / fastest
        say(f"{model}: {ratio:.3f} of the yardstick's fastest line, {fastest} samples/s")
        return ratio >= (0.95 if model == "resnet18" else 1)
    return each_model(data_for, check)


def table(options):
    cluster = ["--cluster", options.cluster] if options.cluster else []

    def check(model, data):
        with tempfile.TemporaryDirectory() as home:
            regatta(home, "run", job_of(model), *cluster, *settings(data, **{"stop": "{epochs: 3}"}))
            say(f"{model}\n")
            say(regatta(home, "compare", "--md"))
        return True
    return each_model(small_data_for, check)


def endless(home, environment=None):
    """A run on the GPU that has made its first step, and its folder."""
    process = subprocess.Popen([HERE / "run.sh", "regatta", "run", str(job_of("cnn")), "--only", "gpu", *settings(
        data_for("cnn"), **{"stop": "{epochs: 100000}", "train.evaluate": "never", "train.deadline": 10}), "--home",
        str(home)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
    while process.poll() is None:
        found = [run for run in runs(home) if run.of("first_step")]
        if found:
            return process, found[0]
        time.sleep(0.05)
    return process, None


def ended_within(process, since, words):
    try:
        text = process.communicate(timeout=120)[0]
    except subprocess.TimeoutExpired:  # or it would train on
        process.terminate()
        text = process.communicate()[0]
    took = time.monotonic() - since
    said = bool(re.search(words, text))
    say(f"  ended with {process.returncode} after {took:.1f} s, limit {END_WITHIN_S} s; the words are "
        f"{'there' if said else 'MISSING: ' + words}")
    say("  " + "\n  ".join(text.strip().splitlines()[-8:]))
    return process.returncode != 0 and took <= END_WITHIN_S and said


def faults(_):
    good = True
    with tempfile.TemporaryDirectory() as home:
        say("rank killed")
        process, run = endless(home)
        if run is None:
            return ended_within(process, time.monotonic(), "first step") and False
        os.kill(run.of("start")[0]["ranks"][0]["pid"], signal.SIGKILL)
        good &= ended_within(process, time.monotonic(), "rank 0|killed|signal 9")
    with tempfile.TemporaryDirectory() as home:
        say("NCCL error injected at call 1000 of ncclAllReduce")
        before = time.monotonic()
        process, _ = endless(home, {"LD_PRELOAD": str(HERE / "lib/nccl_fault.so"), "REGATTA_TEST_NCCL_FAULT": "1000"})
        say(f"  training after {time.monotonic() - before:.1f} s")
        good &= ended_within(process, time.monotonic(), r"rank 0 on .*: .* failed at step \d+, bucket \d+")
    return good


CHECKS = {"agree": agree, "fp64": fp64, "seeds": seeds, "throughput": throughput, "table": table, "faults": faults}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("check", choices=CHECKS)
    parser.add_argument("--yardstick")
    parser.add_argument("--cluster")
    chosen = parser.parse_args()
    sys.exit(0 if CHECKS[chosen.check](chosen) else 1)
