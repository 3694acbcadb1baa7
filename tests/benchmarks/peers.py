"""What the comparisons with other tools share: where the yardsticks are, and a Python that has torch.

The yardsticks are no part of this project. They are looked for in $REGATTA_PEERS, else in ../shared/peers beside the
project; their Python is $REGATTA_PEERS_PYTHON, else .deps/peers/bin/python, which `./dev bench NAME` makes where the
yardsticks are. Without them a comparison is skipped, and says so.
"""
import functools
import json
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


@functools.cache
def python():
    program = os.environ.get("REGATTA_PEERS_PYTHON", str(ROOT / ".deps" / "peers" / "bin" / "python"))
    try:
        subprocess.run([program, "-c", "import torch, torchvision"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()[-1]
        skip(f"{program} cannot import torch and torchvision ({reason}); name one that can in $REGATTA_PEERS_PYTHON")
    return program


def pinned(arguments, core=None):
    return (["taskset", "-c", str(core)] if core is not None else []) + [str(a) for a in arguments]


def run(arguments, core=None, attempts=1, **options):
    """Output of a program that must succeed in one of its attempts; `core`: pinned to this one."""
    for _ in range(attempts):
        done = subprocess.run(pinned(arguments, core), capture_output=True, text=True, **options)
        if done.returncode == 0:
            break
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(a) for a in arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


# Python loads a module of this name before everything else, in spawned processes too. Those that help multiprocessing
# load no torch, and must not begin to.
HOOK = """
import os, sys
if any(word.endswith("ddp.py") or "spawn_main" in word for word in sys.orig_argv):
    import time
    from torch.optim.optimizer import register_optimizer_step_post_hook
    def note(optimizer, args, kwargs):
        handle.remove()
        with open(os.environ["FIRST_STEPS"], "a") as file:
            file.write(f"{time.time()}\\n")
    handle = register_optimizer_step_post_hook(note)
"""


def noting_first_steps(folder, **more):
    """Environment for ddp.py as it is: each rank notes in `folder` when its optimizer has made its first step."""
    (pathlib.Path(folder) / "sitecustomize.py").write_text(HOOK)
    return dict(os.environ, PYTHONPATH=str(folder), FIRST_STEPS=str(pathlib.Path(folder) / "first_steps"), **more)


def first_steps(folder):
    """Times of the ranks' first steps, as far as they were made."""
    path = pathlib.Path(folder) / "first_steps"
    return [float(line) for line in path.read_text().split()] if path.exists() else []


def launcher(ranks):
    return ["mpirun", "-np", ranks, "--bind-to", "none", "--oversubscribe"] if ranks > 1 else []


def launch_environment():
    """Open MPI wants to be told that root may; no part of ours is switched off."""
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", REGATTA_WITHOUT="")


def journal(run_dir):
    """Whole lines of a run's first attempt, as far as it has come."""
    path = pathlib.Path(run_dir) / "attempt-1" / "journal.jsonl"
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def alternate(rounds, measures):
    """{name: function} to {name: [results]}: A B A B ..., so that a slow drift of the machine meets all alike."""
    results = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            results[name].append(measure())
    return results


def median(values):
    return statistics.median(values)
