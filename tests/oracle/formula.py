"""Weights and data for oracles as an integer formula: the same as tests/support/formula.hpp, exact in float64."""
import numpy as np


def formula(tensor, shape):
    """Float64 array of `shape`: elements -1, -0.999, ..., 1."""
    count = int(np.prod(shape))
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint64) * np.uint64(6364136223846793005)
        x += np.uint64(tensor * 1442695040888963407 % 2**64) + np.uint64(1013904223)
        x ^= x >> np.uint64(33)
        x *= np.uint64(0xFF51AFD7ED558CCD)
        x ^= x >> np.uint64(33)
    return ((x % np.uint64(2001)).astype(np.float64) - 1000).reshape(shape) / 1000


def formula_label(tensor, shape, classes):
    """Int64 array of `shape`, below `classes`."""
    return np.floor((formula(tensor, shape) + 1) * 1000 + 0.5).astype(np.int64) % classes
