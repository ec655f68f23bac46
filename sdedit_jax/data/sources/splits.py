"""The held-out part of a data set that came without one.

A tenth of the records, but at most 64, or a hundredth where that is more, at most 1024, are `validation` and the others
`train`. Which ones depends on their number alone, so every process and every later start draws the same line; a
picture more or less draws another.
"""

import os

import numpy as np

from sdedit_jax.data.sources.errors import DataError, no_data


def num_held_out(count: int) -> int:
    """How many of `count` records are validation; 0 only if there are none."""
    return min(1024, max(min(64, -(-count // 10)), -(-count // 100)))


def split_indices(path: str | os.PathLike[str], count: int, split: str) -> np.ndarray:
    """Increasing indices, int64, of the records in `split` of the `count` at `path`.

    Raises DataError for another split than "train" and "validation", and for a single picture, which cannot be both.
    """
    if split not in ("train", "validation"):
        raise DataError(f"{os.fspath(path)} has the splits train and validation, got {split!r}.")
    if count < 2:
        raise no_data(path, f"one picture for training and one for validation are needed, got {count}")
    # RandomState, because its numbers never change between versions of NumPy.
    order = np.random.RandomState(0).permutation(count)
    first_held_out = count - num_held_out(count)
    return np.sort(order[:first_held_out] if split == "train" else order[first_held_out:])
