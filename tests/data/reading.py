"""What is on disk, to be compared."""

import itertools

import numpy as np

from sdedit_jax.data.pipeline import open_source


def take(batches, count):
    return np.stack(list(itertools.islice(batches, count)))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def images_of(path, split, *options):
    source = open_source(path, split, *options)
    return [source[index]["image"] for index in range(len(source))]
