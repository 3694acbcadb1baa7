"""Our loader against torchvision's over CIFAR-10 as JPEG files, both pinned to one core, alternating.

    ./dev bench loader [--rounds 5] [--samples 20000] [--workers 1] [--core N] [--json]

In the timed pass every image is read from its file, decoded, cropped, mirrored, normalised and put into a float32 batch of
128. First it is checked that pixels that are not augmented are within 2/255 of torchvision's. The archive is
cifar10.tar.xz in ../data beside the yardsticks, or $REGATTA_CIFAR10, a folder with train/ and test/.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import sys
import tarfile
import tempfile

import peers

GOAL = 5  # times the rate of the yardstick

COMPARE = """
import json, sys, numpy
from torchvision.datasets.folder import pil_loader
from torchvision.transforms.functional import to_tensor
found = json.load(open(sys.argv[2]))
channels, height, width = found["shape"]
images = numpy.fromfile(sys.argv[3], numpy.float32).reshape(-1, height, width, channels)
worst = 0.0
for path, image in zip(found["paths"], images, strict=True):
    expected = to_tensor(pil_loader(sys.argv[1] + "/" + path)).permute(1, 2, 0).numpy()
    pixels = image * numpy.array(found["deviation"]) + numpy.array(found["mean"])
    worst = max(worst, float(abs(pixels - expected).max()))
print(worst)
"""


def data():
    """The folder with train/ and test/; unpacked once."""
    if "REGATTA_CIFAR10" in os.environ:
        return pathlib.Path(os.environ["REGATTA_CIFAR10"])
    folder = peers.ROOT / "build" / "bench" / "cifar10"
    archive = peers.peer("loader.py").parent.parent / "data" / "cifar10.tar.xz"
    if not folder.is_dir():
        if not archive.is_file():
            peers.skip(f"no {archive}; name a folder with train/ and test/ in $REGATTA_CIFAR10")
        print(f"unpacking {archive}", file=sys.stderr)
        unpacking = folder.with_name("unpacking")
        shutil.rmtree(unpacking, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(unpacking)
        (unpacking / "cifar10").rename(folder)
        unpacking.rmdir()
    return folder


def largest_difference(python, folder, count):
    with tempfile.TemporaryDirectory() as scratch:
        values, words = pathlib.Path(scratch) / "values", pathlib.Path(scratch) / "words"
        words.write_text(peers.run([peers.BIN / "bench_loader", "pixels", folder, count, values]))
        return float(peers.run([python, "-c", COMPARE, folder, words, values]))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench loader", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=1, help="of the yardstick's DataLoader")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    yardstick, python, folder = peers.peer("loader.py"), peers.python(), data()

    difference = largest_difference(python, folder, 1000)

    def rate(*command):
        return json.loads(peers.run(command, options.core))["samples_per_s"]

    results = peers.alternate(options.rounds, {
        "torchvision": lambda: rate(python, yardstick, folder / "train", options.workers, options.samples),
        "regatta": lambda: rate(peers.BIN / "bench_loader", "rate", folder, options.samples)})
    medians = {name: statistics.median(rates) for name, rates in results.items()}
    ratio = medians["regatta"] / medians["torchvision"]
    if options.json:
        print(json.dumps({"samples_per_s": results, "median_samples_per_s": medians, "ratio": ratio, "goal": GOAL,
                          "workers": options.workers, "largest_pixel_difference": difference}, indent=2))
    else:
        print(f"largest difference of a pixel: {difference * 255:.2f}/255, at most 2/255")
        for name, rates in results.items():
            print(f"{name:12} {medians[name]:8.0f} images/s on core {options.core}  (of {len(rates)} rounds, "
                  f"{min(rates):.0f} to {max(rates):.0f})")
        print(f"ratio        {ratio:8.2f}, at least {GOAL}")
    return 0 if ratio >= GOAL and difference <= 2 / 255 else 1


if __name__ == "__main__":
    sys.exit(main())
