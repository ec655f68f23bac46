"""The contents of the published checkpoints of any network, in the names, shapes and order of their projects."""

import re

import numpy as np

from sdedit_jax import trees
from sdedit_jax.weights.published.names import published_names, to_torch, trainable_order
from tests.models.networks import param_shapes

# Matrices of PyTorch that are not 1 x 1 convolutions.
LINEAR = re.compile(r"temb|Dense|all_modules\.\d+\.weight|\.W$")


def tensors(net, params, layout):
    """{published name: array in the published layout} of `params`, nested dicts of arrays."""
    flat = trees.flatten(params)
    published = published_names(net, flat, layout)
    change = _to_flax if layout == "score_sde_flax" else _to_torch
    return {published[path]: change(published[path], array) for path, array in flat.items()}


def shapes(net, layout, image_size=32):
    """{published name: published shape}; no array of these sizes exists."""
    zeros = {path: np.broadcast_to(np.float32(0), shape) for path, shape in param_shapes(net, image_size).items()}
    return {name: array.shape for name, array in tensors(net, zeros, layout).items()}


def ddim(net, params, averaged=None):
    """ermongroup/ddim's list."""
    raw = {f"module.{name}": array for name, array in tensors(net, params, "pytorch_diffusion").items()}
    optimizer = {"state": {0: {"step": 3, "exp_avg": np.zeros(4, np.float32)}}, "param_groups": [{"lr": 2e-5}]}
    ema = [] if averaged is None else [tensors(net, averaged, "pytorch_diffusion")]
    return [raw, optimizer, 1, 5000, *ema]


def score_sde(net, params, averaged, sigmas):
    """score_sde_pytorch's dict; the Fourier frequencies, which have no average, are those of `params`."""
    model = tensors(net, params, "score_sde")
    flat = trees.flatten(averaged)
    ema, published = tensors(net, averaged, "score_sde"), published_names(net, flat, "score_sde")
    shadow = [ema[published[path]] for path in trainable_order(net, flat)]
    return {
        "optimizer": {"state": {}, "param_groups": [{"lr": 2e-4, "betas": (0.9, 0.999), "params": [0, 1]}]},
        "model": {f"module.{name}": array for name, array in {"sigmas": sigmas, **model}.items()},
        "ema": {"decay": 0.999, "num_updates": 7, "shadow_params": shadow},
        "step": 400005,
    }


def score_sde_flax(net, params, averaged):
    """score_sde's state of its Flax networks."""
    target, ema = (trees.unflatten(tensors(net, tree, "score_sde_flax")) for tree in (params, averaged))
    return {
        "step": 1200001,
        "optimizer": {"target": target, "state": {"step": np.int32(3), "param_states": {"grad_ema": target}}},
        "lr": 2e-4,
        "model_state": {},
        "ema_rate": 0.999,
        "params_ema": ema,
        "rng": np.array([0, 42], np.uint32),
    }


def _to_torch(name, array):
    array = to_torch(name, array)
    return array if array.ndim != 2 or LINEAR.search(name) else array[:, :, None, None]


def _to_flax(name, array):
    if array.ndim == 1 and "GroupNorm" in name:
        return array[None, None, None, :]
    return array[None, None] if array.ndim == 2 and re.search(r"Conv_\d+/kernel", name) else array
