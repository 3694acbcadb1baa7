"""What `precision: auto` and `ranks: auto` choose, against every fp32 layout, alternating, in fresh processes.

    ./dev bench auto [--rounds 9] [--models mlp,cnn,lstm,resnet18] [--seconds 8] [--json]

A round runs the chosen way, then each default (fp32, 1 rank to one a core, one thread each) for some seconds. The step is the
median of a round, the figure the median over rounds. The goal: auto at most 3 % slower than the best default.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile

import peers
import step1

SLOWEST = 1.03


class Home:
    """A home with one job: its choice is made at the first use and taken from the cache afterwards."""

    def __init__(self, folder, model, seconds):
        data, batch = step1.DATA[model]
        cores = len(os.sched_getaffinity(0))
        self.ranks = [ranks for ranks in (1 << i for i in range(16)) if ranks < cores] + [cores]
        self.home = pathlib.Path(folder) / "home"
        self.job = pathlib.Path(folder) / "job.yaml"
        rows = ["{name: auto, ranks: auto, train: {precision: auto}}"]
        rows += [f"{{name: fp32-{ranks}, ranks: {ranks}}}" for ranks in self.ranks]
        self.job.write_text(f"name: auto\nmodel: {{kind: {model}}}\ndata: {data}\ntrain:\n  batch: {batch}\n"
                            "  optimizer: {kind: sgd, lr: 0.01, momentum: 0.9}\n  evaluate: never\n"
                            f"stop: {{max_time: {seconds}s}}\nconfigurations:\n" + "".join(f"  - {row}\n" for row in rows))

    def measure(self, name):
        """(median step in seconds, the choice or None) of one run in fresh processes."""
        before = set(self.home.glob("runs/*"))
        out = peers.run([peers.BIN / "regatta", "run", self.job, "--only", name, "--home", self.home, "--json", "--quiet"])
        (run,) = set(self.home.glob("runs/*")) - before
        epochs = [line for line in peers.journal(run) if line["type"] == "epoch"]
        return epochs[-1]["step_s"]["median"], json.loads(out)["configurations"][0]["choice"]


def main():
    parser = argparse.ArgumentParser(prog="./dev bench auto", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", default="mlp,cnn,lstm,resnet18")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = []
    for model in options.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            home = Home(folder, model, options.seconds)
            choice = home.measure("auto")[1]
            names = ["auto"] + [f"fp32-{ranks}" for ranks in home.ranks]
            found = peers.alternate(options.rounds, {name: (lambda name=name: home.measure(name)[0]) for name in names})
        steps = {name: peers.median(times) for name, times in found.items()}
        best = min(names[1:], key=lambda name: steps[name])
        kept = choice["kept"]
        rows.append({"model": model, "kept": kept, "reason": choice["reason"], "took_s": choice["took_s"], "step_s": steps,
                     "best_default": best, "ratio": steps["auto"] / steps[best]})
        if not options.json:
            print(f"{model:9} {kept['ranks']} x {kept['threads']} {kept['precision']} in {choice['took_s']:.1f} s: "
                  f"{1e3 * steps['auto']:.2f} ms, best default {best} {1e3 * steps[best]:.2f} ms, ratio {rows[-1]['ratio']:.3f}\n"
                  f"          {choice['reason']}", flush=True)
    if options.json:
        print(json.dumps(rows, indent=2))
    sys.exit(0 if all(row["ratio"] <= SLOWEST for row in rows) else 1)


if __name__ == "__main__":
    main()
