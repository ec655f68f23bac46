"""Features for the tests: exact in float32 and in every order of summation, and Gaussian ones."""

import numpy as np


def integers(seed, count, high, size=16):
    """(count, size) float32 integers below `high`: with 16 features their kernel is exact, so bits can be compared."""
    return np.random.RandomState(seed).randint(0, high, (count, size)).astype(np.float32)


def gaussian(seed, count, mean, std, size=4):
    return np.random.default_rng(seed).normal(mean, std, (count, size)).astype(np.float32)
