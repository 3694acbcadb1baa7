"""What the comparisons with other tools share: where the yardsticks are, and a Python that has torch.

The yardsticks are no part of this project. They are looked for in $REGATTA_PEERS, else in ../shared/peers beside the
project; their Python is $REGATTA_PEERS_PYTHON, else .deps/peers/bin/python, which `./dev bench NAME` makes where the
yardsticks are. Without them a comparison is skipped, and says so.
"""
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "bin"


def skip(reason):
    """Ends the benchmark without a result: exit code 77, as automake has it."""
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(77)


def peer(name):
    folder = pathlib.Path(os.environ.get("REGATTA_PEERS", ROOT.parent / "shared" / "peers"))
    if not (folder / name).is_file():
        skip(f"no yardstick {name} in {folder}; name its folder in $REGATTA_PEERS")
    return folder / name


def python():
    program = os.environ.get("REGATTA_PEERS_PYTHON", str(ROOT / ".deps" / "peers" / "bin" / "python"))
    try:
        subprocess.run([program, "-c", "import torch, torchvision"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        skip(f"{program} cannot import torch and torchvision ({reason}); name one that can in $REGATTA_PEERS_PYTHON")
    return program


def run(arguments, core=None, **options):
    """Output of a program that must succeed; `core`: pinned to this one."""
    pinned = ["taskset", "-c", str(core)] if core is not None else []
    done = subprocess.run(pinned + [str(a) for a in arguments], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(a) for a in arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def alternate(rounds, measures):
    """{name: function} to {name: [results]}: A B A B ..., so that a slow drift of the machine meets all alike."""
    results = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return results


def median(values):
    return statistics.median(values)
