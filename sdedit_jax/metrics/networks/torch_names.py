"""State dicts of torch -> the parameters of our networks, one tensor at a time."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from sdedit_jax import trees
from sdedit_jax.weights.files import torch_file
from sdedit_jax.weights.stored import StoredTensor, check_shapes, read_params

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
IGNORED = "num_batches_tracked"  # a counter of the training beside every batch normalisation


def load_params(path: Path, net: nn.Module, image_size: int, torch_module: Callable[[str], str]) -> dict[str, Any]:
    """The parameters of `net`, which takes (1, image_size, image_size, 3), from the torch file at `path`.

    `torch_module`: the name in the file of our module ``stem/conv``; what its leaves are called is known.
    Raises WeightsError for a file that is damaged, or does not have exactly the tensors of `net`.
    """
    state = torch_file.read(path)
    shapes = parameter_shapes(net, image_size)
    names = {}
    for ours in trees.flatten(shapes):
        module, _, leaf = ours.rpartition("/")
        names[f"{torch_module(module)}.{LEAVES[leaf]}"] = ours
    tensors = {
        names.get(name, name): _in_our_layout(tensor) for name, tensor in state.items() if not name.endswith(IGNORED)
    }
    check_shapes(tensors, shapes)
    return read_params(tensors)


def parameter_shapes(net: nn.Module, image_size: int) -> dict[str, Any]:
    """The tree of `jax.ShapeDtypeStruct` of the parameters of `net`; nothing is computed."""
    x = jax.ShapeDtypeStruct((1, image_size, image_size, 3), np.float32)
    return jax.eval_shape(net.init, jax.random.key(0), x)["params"]


def _in_our_layout(tensor: StoredTensor) -> StoredTensor:
    """(O, I, h, w) -> (h, w, I, O), and of a dense layer (O, I) -> (I, O)."""
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(len(tensor.shape), tuple(range(len(tensor.shape))))
    shape = tuple(tensor.shape[axis] for axis in axes)
    return StoredTensor(shape, tensor.dtype, lambda: tensor.read().transpose(axes))
