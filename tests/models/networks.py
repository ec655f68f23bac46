"""Weights of networks for tests that need neither a random generator nor a compilation, and a quick `jit`."""

import functools

import jax
import numpy as np
from flax import traverse_util

from sdedit_jax import build, trees
from sdedit_jax.models import DDPM
from sdedit_jax.weights.published.names import from_torch, published_names, to_torch

# These tests compile far more than they compute.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def param_shapes(net, image_size: int = 32) -> dict[str, tuple[int, ...]]:
    """{path: shape} of the parameters of `net`, found without computing anything."""
    shapes = build.param_shapes(net, image_size)
    return {path: leaf.shape for path, leaf in trees.flatten(shapes).items()}


def torch_layout(net):
    """The layout of `net` in its published PyTorch files."""
    return "pytorch_diffusion" if isinstance(net, DDPM) and net.attention_up == "every_block" else "score_sde"


def sine_params(net):
    """Variables of `net` filled with sines that depend on the published names and layout alone."""
    shapes = param_shapes(net)
    names = published_names(net, shapes, torch_layout(net))
    order = {name: p for p, name in enumerate(sorted(names.values()))}
    flat = {}
    for path, shape in shapes.items():
        name = names[path]
        torch_shape = to_torch(name, np.empty(shape)).shape
        flat[path] = from_torch(name, _sine_tensor(name, order[name], torch_shape))
    return {"params": traverse_util.unflatten_dict(flat, sep="/")}


def random_params(net, seed: int = 0):
    """Variables of `net` that keep the size of what passes through, drawn without compiling anything."""
    random = np.random.default_rng(seed)
    flat = {}
    for path, shape in param_shapes(net).items():
        noise = random.standard_normal(shape).astype(np.float32)
        if path.endswith("/kernel"):
            flat[path] = noise / np.sqrt(np.prod(shape[:-1]), dtype=np.float32)
        else:
            flat[path] = np.float32(path.endswith("/scale")) + np.float32(0.1) * noise
    return {"params": traverse_util.unflatten_dict(flat, sep="/")}


def _sine_tensor(name: str, p: int, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    s = np.sin(0.7 * np.arange(size) + 1.3 * p).reshape(shape)
    if len(shape) > 1:
        fan_in = shape[0] if name.endswith(".W") else size / shape[0]
        s = s / np.sqrt(fan_in)
    elif name.endswith(".weight"):
        s = 1.0 + 0.1 * s
    elif not name.endswith(".W"):
        s = 0.1 * s
    return s.astype(np.float32)
