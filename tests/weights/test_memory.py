"""A model is read one tensor at a time: loading needs little more memory than its file has bytes."""

import subprocess
import sys

import numpy as np
import pytest

from sdedit_jax.models import DDPM
from tests.models.networks import param_shapes
from tests.weights.files import torch_writer
from tests.weights.published import checkpoint_files

WIDE = DDPM(416, (1,), 1, ())
# VmHWM and not getrusage, whose peak a process inherits from the one that started it.
LOAD = """
import re, sys
from pathlib import Path

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

import jax
from sdedit_jax import weights
jax.numpy.zeros(1).block_until_ready()
before = peak()
loaded = weights.load(sys.argv[1], data={"image_size": 32})
print(peak() - before, sum(leaf.nbytes for leaf in jax.tree.leaves(loaded.params)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process of its own")
def test_loading_needs_little_more_than_the_file(tmp_path):
    path = tmp_path / "wide.ckpt"
    params = {name: np.zeros(shape, np.float32) for name, shape in param_shapes(WIDE).items()}
    torch_writer.write_zip(path, checkpoint_files.tensors(WIDE, params, "pytorch_diffusion"))
    size = path.stat().st_size
    assert size > 100e6
    command = [sys.executable, "-c", LOAD, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    growth, num_bytes = map(int, result.stdout.split())
    assert num_bytes == pytest.approx(size, rel=0.01)  # all of the file is weights, and is loaded
    # The weights themselves, and beside them the file's pages, which the system may keep, and one tensor.
    assert num_bytes < growth < 2.6 * size
