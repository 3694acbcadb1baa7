"""A training step across hosts with slow cables against PyTorch DDP, alternating; and uneven hosts against MPI's sums.

    ./dev bench hosts [--rounds 5] [--rows 1gbit,200mbit,resnet18,uneven] [--json]

Hosts are namespaces of this machine (tests/cluster/bed/bed.sh; needs root), their cables held to a rate by tc. Two
hosts with one rank each train the mlp with batch 128 a rank in fp32, and resnet18 with batch 16 a rank. The yardstick is
ddp.py over gloo, plain and with its bf16 hook, once on each host. Ours is a whole job under mpirun: data, journal,
everything. Both figures are the median step, ours from one step's end to the next; with `every: k` ours is the mean over
an epoch, exchanges included. resnet18 keeps batch norm's statistics to each rank, as DDP does. The last row has two ranks on one of four hosts, cables without a limit, against the
same with REGATTA_WITHOUT=cluster_exchanger.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

import peers

BED = peers.ROOT / "tests" / "cluster" / "bed" / "bed.sh"
MODELS = {  # batch a rank, steps an epoch, shape
    "mlp": (128, 24, "[1, 28, 28]"),
    "resnet18": (16, 8, "[3, 32, 32]"),
}
EPOCHS = 2  # the last one is timed
# row: (model, rate, {ours: exchange}, [(ours, yardstick, goal)])
ROWS = {
    "1gbit": ("mlp", "1gbit", {"wire same": "{}", "wire bf16": "{wire: bf16}"},
              [("wire bf16", "ddp", 1.8), ("wire bf16", "ddp bf16", 1.15)]),
    "200mbit": ("mlp", "200mbit", {"wire bf16": "{wire: bf16}", "every 8": "{every: 8}"},
                [("wire bf16", "ddp", 1.9), ("wire bf16", "ddp bf16", 1.0), ("every 8", "ddp", 5.0)]),
    "resnet18": ("resnet18", "1gbit", {"wire bf16": "{wire: bf16}"}, [("wire bf16", "ddp", 1.9)]),
}
YARDSTICKS = {"ddp": [], "ddp bf16": ["--comm", "bf16"]}
PRECISION = {"mlp": "fp32", "resnet18": "auto"}


def is_running(pid):
    """No zombie, which holds nothing."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


class Hosts:
    """A bed from here to the end of the block."""

    def __init__(self, count, folder):
        self.count, self.folder = count, pathlib.Path(folder) / "bed"
        self.shares = [peers.ROOT, peers.BIN.parent.resolve(), pathlib.Path(folder), peers.peer("ddp.py").parent,
                       pathlib.Path(peers.python()).parents[1]]

    def __enter__(self):
        shares = [word for share in self.shares for word in ("--share", str(share))]
        self.process = subprocess.Popen([BED, "up", self.folder, "--hosts", str(self.count), *shares],
                                        stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            self.__exit__()
            peers.skip("no hosts can be made here; tests/cluster/bed/bed.sh wants root and namespaces")
        return self

    def __exit__(self, *_):
        """The hosts die with bed.sh, and the next bed's figures want them gone, not going."""
        first = [int(file.read_text()) for file in self.folder.glob("*.pid")]  # a host's first process outlives its others
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        deadline = time.monotonic() + 30
        while left := [pid for pid in first if is_running(pid)]:
            if time.monotonic() > deadline:
                raise SystemExit(f"these processes of the bed do not end: {left}")
            time.sleep(0.01)

    def on(self, host, arguments):
        return [BED, "exec", self.folder, host, *[str(argument) for argument in arguments]]

    def rate(self, rate):
        for i in range(1, self.count + 1):
            subprocess.run([BED, "rate", self.folder, f"n{i}", rate], check=True)


def measure_peer(hosts, model, flags):
    """The slowest rank's median step. Gloo now and then aborts a rank that has trained and printed: then it runs again."""
    batch, steps, _ = MODELS[model]
    for _ in range(3):
        ranks = [subprocess.Popen(
            hosts.on(f"n{rank + 1}", ["env", f"RANK={rank}", "WORLD_SIZE=2", "MASTER_ADDR=10.99.0.2", "MASTER_PORT=29577",
                                      "GLOO_SOCKET_IFNAME=e0", peers.python(), peers.peer("ddp.py"), "--model", model,
                                      "--threads", 1, "--batch", batch, "--steps", steps, *flags]),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in range(2)]
        outs = [rank.communicate() for rank in ranks]
        if outs[0][0].strip() and all(rank.returncode == 0 for rank in ranks):
            return json.loads(outs[0][0].splitlines()[-1])["step_s_median"]
    raise SystemExit(f"ddp.py ended with {[rank.returncode for rank in ranks]}:\n{outs[0][1]}{outs[1][1]}")


def measure_ours(hosts, folder, model, exchange, ranks_by_host=(1, 1), without="", precision=None):
    batch, steps, shape = MODELS[model]
    ranks, home = sum(ranks_by_host), pathlib.Path(folder) / "home"
    job, cluster = pathlib.Path(folder) / "job.yaml", pathlib.Path(folder) / "cluster.yaml"
    samples = ranks * batch * steps * 10 // 9 + 1  # a tenth is test data
    job.write_text(
        f"name: hosts\nmodel: {{kind: {model}}}\n"
        f"data: {{format: synthetic, samples: {samples}, shape: {shape}, classes: 10}}\ntrain:\n"
        f"  batch: {ranks * batch}\n  precision: {precision or PRECISION[model]}\n  evaluate: never\n  batch_norm: local\n"
        f"  exchange: {exchange}\n  optimizer: {{kind: sgd, lr: 0.01, momentum: 0.9}}\n"
        f"stop: {{epochs: {EPOCHS}}}\nconfigurations: [{{name: hosts, pool: hosts, ranks: {ranks}}}]\n")
    names = ", ".join(f"n{i + 1}" for i in range(len(ranks_by_host)))
    cluster.write_text(
        f"pools:\n  hosts: {{launcher: ssh, nodes: {len(ranks_by_host)}, cores_per_node: {max(ranks_by_host)}, "
        f"hosts: [{names}], ssh_config: {hosts.folder}/ssh/config, price: {{usd_per_node_hour: 0.1}}}}\n")
    before = set(home.glob("runs/*"))
    if max(ranks_by_host) == 1 and not without:
        subprocess.run(hosts.on("n0", ["env", "REGATTA_WITHOUT=", f"REGATTA_SLOTS={folder}/slots", peers.BIN / "regatta",
                                       "--home", home, "run", job, "--cluster", cluster, "--quiet"]),
                       check=True, stdout=subprocess.DEVNULL)
        (run,) = set(home.glob("runs/*")) - before
    else:  # a layout that no plan makes: by hand
        run = home / "runs" / f"by-hand-{len(before)}"
        places = ",".join(f"n{i + 1}:{count}" for i, count in enumerate(ranks_by_host))
        peers.run(hosts.on("n0", ["mpirun", "-np", ranks, "--host", places, "--bind-to", "none", "--mca",
                                  "plm_rsh_agent", f"ssh -F {hosts.folder}/ssh/config", "--mca", "mpi_yield_when_idle", 1,
                                  "-x", "REGATTA_WITHOUT", peers.BIN / "regatta-worker", job, "--run-dir", run, "--home",
                                  home, "--quiet"]),
                  env=dict(os.environ, REGATTA_WITHOUT=without))
    lines = peers.journal(run)
    start = next(line for line in lines if line["type"] == "start")
    last = [line for line in lines if line["type"] == "epoch"][-1]
    steps = last["last_step"] - last["first_step"] + 1
    return {"step": last["step_s"]["median"], "mean": last["wall_s"] / steps, "precision": start["precision"],
            "exchanger": start["exchanger"], "loss": last["train_loss"]}


def measure_row(name, rounds, folder):
    model, rate, ours, goals = ROWS[name]
    with Hosts(2, folder) as hosts:
        hosts.rate(rate)
        measures = {against: lambda flags=YARDSTICKS[against]: {"step": measure_peer(hosts, model, flags)}
                    for _, against, _ in goals}
        for label, exchange in ours.items():
            measures[label] = lambda exchange=exchange: measure_ours(hosts, folder, model, exchange)
        results = peers.alternate(rounds, measures)
    medians = {label: peers.median([result["mean" if label.startswith("every") else "step"] for result in found])
               for label, found in results.items()}
    row = {"row": name, "step_s": medians, "goals": [], "goals_met": True}
    for label, against, goal in goals:
        ratio = medians[against] / medians[label]
        row["goals"].append({"ours": label, "against": against, "ratio": ratio, "goal": goal})
        row["goals_met"] = row["goals_met"] and ratio >= goal
    return row


def measure_uneven(rounds, folder):
    layout = (2, 1, 1, 1)
    with Hosts(4, folder) as hosts:
        results = peers.alternate(rounds, {
            label: lambda without=without: measure_ours(hosts, folder, "mlp", "{}", layout, without)
            for label, without in {"cluster": "", "mpi": "cluster_exchanger"}.items()})
    medians = {label: peers.median([result["step"] for result in found]) for label, found in results.items()}
    ratio = medians["mpi"] / medians["cluster"]
    return {"row": "uneven", "step_s": medians, "goals_met": ratio >= 1 / 1.1,
            "goals": [{"ours": "cluster", "against": "mpi", "ratio": ratio, "goal": 1 / 1.1}]}


def print_row(row):
    print(row["row"] + "  " + "  ".join(f"{label} {1e3 * step:.1f} ms" for label, step in row["step_s"].items()))
    for goal in row["goals"]:
        print("  {ours} against {against}: {ratio:.2f}x (goal {goal:.2f}x)".format(**goal), flush=True)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench hosts", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="1gbit,200mbit,resnet18,uneven")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for name in options.rows.split(","):
        with tempfile.TemporaryDirectory() as folder:
            row = measure_uneven(options.rounds, folder) if name == "uneven" else measure_row(name, options.rounds, folder)
        rows.append(row)
        if not options.json:
            print_row(row)
    if options.json:
        print(json.dumps(rows, indent=2))
    raise SystemExit(0 if all(row["goals_met"] for row in rows) else 1)


if __name__ == "__main__":
    main()
