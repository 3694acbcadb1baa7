"""A training step of two ranks against PyTorch DDP's fastest, alternating; and what each part of ours brings.

    ./dev bench step [--rounds 5] [--rows mlp32,mlp128,lstm16,resnet18x64] [--precisions fp32,bf16,auto] [--json]
    ./dev bench step --features [--rows mlp32] [--rounds 5]

The yardstick is ddp.py over gloo, two ranks x one thread. All its flags (and malloc kept from giving memory back) are tried
once a precision, the fastest runs in the rounds, as does the plain one. Ours is a whole job under mpirun: data, journal,
everything. Both figures are the median step of the slowest rank: a synchronous step ends on all ranks at once, so ours is
the time from one end to the next. Beside each ratio stand our loss after the timed steps and MpiExchanger's after the same.
"""
import argparse
import itertools
import json
import os
import pathlib
import tempfile

import peers

ROWS = {  # model, batch a rank, batches an epoch, the yardstick's steps; goals fp32, bf16, auto against plain
    "mlp32": ("mlp", 32, 60, 60, (2.2, 3.6, 4.5)),
    "mlp128": ("mlp", 128, 40, 40, (1.6, 2.3, 3.4)),
    "lstm16": ("lstm", 16, 12, 12, (1.05, 1.35, 2.0)),
    "resnet18x64": ("resnet18", 64, 5, 5, (1.04, 1.08, 2.05)),
}
DATA = {
    "mlp": "{format: synthetic, samples: %d, shape: [1, 28, 28], classes: 10}",
    "lstm": "{format: synthetic, samples: %d, length: 64, vocabulary: 65}",
    "resnet18": "{format: synthetic, samples: %d, shape: [3, 32, 32], classes: 10}",
}
FEATURES = {  # and the precision in which it counts
    "node_exchanger": "fp32", "streaming_stores": "fp32", "allocator": "fp32", "onednn_linear": "fp32",
    "bf16_weights": "bf16", "convolutions": "fp32", "lstm": "bf16"}
OF_MODEL = {"convolutions": "resnet18", "lstm": "lstm"}  # the others concern all
PRECISIONS = ["fp32", "bf16", "auto"]  # as the goals; auto against plain DDP
RANKS, EPOCHS = 2, 3  # the last epoch is timed
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(2 << 30), "MALLOC_TOP_PAD_": str(64 << 20)}


def measure_peer(model, batch, steps, flags, environment):
    """Its median step. Gloo now and then aborts a rank that has trained and printed: then it runs again."""
    text = peers.run([peers.python(), peers.peer("ddp.py"), "--model", model, "--ranks", RANKS, "--threads", 1, "--batch",
                      batch, "--steps", steps, *flags], attempts=3, env=dict(os.environ, **environment))
    return json.loads(text.splitlines()[-1])["step_s_median"]


def peer_variants(model, precision):
    """{name: (flags, environment)}: every combination that the yardstick has for this model."""
    switches = [("--fused", {}), ("malloc", MALLOC)] + ([("--channels-last", {})] if model == "resnet18" else [])
    variants = {}
    for chosen in itertools.product([False, True], repeat=len(switches)):
        used = [switch for switch, on in zip(switches, chosen) if on]
        flags = [name for name, _ in used if name.startswith("--")] + (["--bf16"] if precision == "bf16" else [])
        environment = {key: value for _, extra in used for key, value in extra.items()}
        variants[" ".join(name for name, _ in used) or "plain"] = (flags, environment)
    return variants


def measure_ours(folder, model, batch, batches, precision, without=""):
    """One job in fresh processes. What was chosen by measurement at its first run is kept in the home under `folder`."""
    home, job = pathlib.Path(folder) / "home", pathlib.Path(folder) / "job.yaml"
    samples = RANKS * batch * batches * 10 // 9 + 1  # a tenth is test data
    job.write_text(f"name: step\nmodel: {{kind: {model}}}\ndata: {DATA[model] % samples}\ntrain:\n"
                   f"  batch: {RANKS * batch}\n  precision: {precision}\n  evaluate: never\n"
                   "  optimizer: {kind: sgd, lr: 0.01, momentum: 0.9}\n"
                   f"stop: {{epochs: {EPOCHS}}}\nconfigurations: [{{name: two, ranks: {RANKS}}}]\n")
    before = set(home.glob("runs/*"))
    peers.run([peers.BIN / "regatta", "run", job, "--quiet"],
              env=dict(os.environ, REGATTA_HOME=str(home), REGATTA_WITHOUT=without))
    (run,) = set(home.glob("runs/*")) - before
    lines = peers.journal(run)
    start = next(line for line in lines if line["type"] == "start")
    last = [line for line in lines if line["type"] == "epoch"][-1]
    return {"step": last["step_s"]["median"], "loss": last["train_loss"], "precision": start["precision"]}


def line_latency():
    cores = sorted(os.sched_getaffinity(0))[:2]
    return float(peers.run([peers.BIN / "bench_line_latency", *cores])) if len(cores) == 2 else None


def median_of(results, key="step"):
    return peers.median([result[key] for result in results])


def measure_row(name, rounds, folder, precisions):
    model, batch, batches, steps, goals = ROWS[name]
    fastest, measures, oracles = {}, {}, {}
    if "auto" in precisions:
        plain = peer_variants(model, "fp32")["plain"]
        measures["ddp plain"] = lambda: {"step": measure_peer(model, batch, steps, *plain)}
    for precision in precisions:
        if precision != "auto":
            variants = peer_variants(model, precision)
            tried = {label: measure_peer(model, batch, steps, *variant) for label, variant in variants.items()}
            fastest[precision] = min(tried, key=tried.get)
            variant = variants[fastest[precision]]
            measures[f"ddp {precision}"] = lambda variant=variant: {"step": measure_peer(model, batch, steps, *variant)}
        measures[f"ours {precision}"] = lambda precision=precision: measure_ours(folder, model, batch, batches, precision)
    results = peers.alternate(rounds, measures)
    row = {"row": name, "line_latency_ns": line_latency(), "ours": {}, "goals_met": True}
    for precision, goal in zip(PRECISIONS, goals):
        if precision not in precisions:
            continue
        ours = results[f"ours {precision}"]
        step = median_of(ours)
        against = median_of(results["ddp plain" if precision == "auto" else f"ddp {precision}"])
        chosen = ours[-1]["precision"]  # auto is compared in what it chose
        if chosen not in oracles:
            oracles[chosen] = measure_ours(folder, model, batch, batches, chosen, "node_exchanger")
        row["ours"][precision] = {"step_s": step, "ddp_step_s": against, "ddp": fastest.get(precision, "plain"),
                                  "ratio": against / step, "goal": goal, "loss": ours[-1]["loss"],
                                  "mpi_loss": oracles[chosen]["loss"], "precision": chosen}
        row["goals_met"] = row["goals_met"] and against / step >= goal
    return row


def print_row(row):
    print("{row}  line latency {line_latency_ns} ns".format(**row))
    for name, ours in row["ours"].items():
        print("  {0:5} {1:8.2f} ms  DDP {2:8.2f} ms ({ddp})  {ratio:.2f}x (goal {goal}x)  loss {loss:.6f}, "
              "by MPI {mpi_loss:.6f}".format(name, 1e3 * ours["step_s"], 1e3 * ours["ddp_step_s"], **ours), flush=True)


def measure_features(name, rounds, folder):
    model, batch, batches, _, _ = ROWS[name]
    row = {"row": name, "line_latency_ns": line_latency(), "features": {}}
    for feature, precision in FEATURES.items():
        if OF_MODEL.get(feature, model) != model:
            continue
        results = peers.alternate(rounds, {"on": lambda: measure_ours(folder, model, batch, batches, precision),
                                           "off": lambda: measure_ours(folder, model, batch, batches, precision, feature)})
        row["features"][feature] = {"on_s": median_of(results["on"]), "off_s": median_of(results["off"]),
                                    "ratio": median_of(results["off"]) / median_of(results["on"])}
    return row


def print_features(row):
    print("{row}  line latency {line_latency_ns} ns".format(**row))
    for feature, found in row["features"].items():
        print("  {0:17} on {1:8.2f} ms  off {2:8.2f} ms  {ratio:.2f}x".format(
            feature, 1e3 * found["on_s"], 1e3 * found["off_s"], **found), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench step", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--precisions", default=",".join(PRECISIONS))
    parser.add_argument("--features", action="store_true", help="what each part brings: on against off")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in options.rows.split(","):
        with tempfile.TemporaryDirectory() as folder:
            if options.features:
                row = measure_features(name, options.rounds, folder)
            else:
                row = measure_row(name, options.rounds, folder, options.precisions.split(","))
        rows.append(row)
        if not options.json:
            (print_features if options.features else print_row)(row)
    if options.json:
        print(json.dumps(rows, indent=2))
    raise SystemExit(0 if options.features or all(row["goals_met"] for row in rows) else 1)


if __name__ == "__main__":
    main()
