"""The names that published checkpoints give to our parameters, and the layouts of their arrays.

Ours are paths such as ``down_0_block_1/conv1/kernel``. Three families of files, three layouts:

- ``pytorch_diffusion``, the files of SDEdit and of pesser/pytorch_diffusion: ``down.0.block.1.conv1.weight``;
- ``score_sde``, the PyTorch files of Song et al. 2021, whose networks number their modules in order of execution:
  ``all_modules.17.Conv_0.weight``;
- ``score_sde_flax``, their Flax files, which count the modules of each class: ``ResnetBlockBigGANpp_9/Conv_0/kernel``.
"""

import collections
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import numpy as np

from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.weights.stored import StoredTensor, WeightsError

Layout = Literal["pytorch_diffusion", "score_sde", "score_sde_flax"]

FREQUENCIES = "time_embed/frequencies"
# In the order in which PyTorch registers them inside a module; `_layers` adds those that depend on the network.
LAYERS = {
    "norm1": "GroupNorm_0",
    "conv1": "Conv_0",
    "temb_proj": "Dense_0",
    "norm2": "GroupNorm_1",
    "conv2": "Conv_1",
    "norm": "GroupNorm_0",
    "q": "NIN_0",
    "k": "NIN_1",
    "v": "NIN_2",
    "proj_out": "NIN_3",
}
TORCH_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def published_names(net: DDPM | NCSNpp, paths: Iterable[str], layout: Layout) -> dict[str, str]:
    """{our path: published name} for the `paths` of the parameters of `net`.

    Raises WeightsError for a network that the layout has no names for.
    """
    every_block = isinstance(net, DDPM) and net.attention_up == "every_block"
    if every_block != (layout == "pytorch_diffusion"):
        raise WeightsError(
            f"the layout {layout} has no names for this {type(net).__name__}: only pytorch_diffusion has attention_up "
            "every_block, and it has no NCSNpp."
        )
    if layout == "pytorch_diffusion":
        return {path: _pytorch_diffusion_name(path) for path in paths}
    modules = _numbered(net) if layout == "score_sde" else _counted(net)
    return {path: _score_sde_name(net, modules, path, layout) for path in paths}


def trainable_order(net: DDPM | NCSNpp, paths: Iterable[str]) -> list[str]:
    """The `paths` as score_sde's PyTorch network lists its parameters, so the order of ``ema.shadow_params``.

    The Fourier frequencies are not trained and not among them.
    """
    modules = {module: index for index, (module, _) in enumerate(_modules(net))}
    layers = ["", *_layers(net)]

    def registered(path: str) -> tuple[int, int, bool]:
        module, layer, leaf = _split(path, modules)
        return modules[module], layers.index(layer), leaf == "bias"

    return sorted((path for path in paths if path != FREQUENCIES), key=registered)


def lazily(tensor: StoredTensor, change: Callable[[np.ndarray], np.ndarray]) -> StoredTensor:
    """`tensor` after `change`, which moves values and computes none; nothing is read yet.

    For example ``lazily(tensor, functools.partial(from_torch, name))``.
    """
    seen = change(np.broadcast_to(np.zeros((), tensor.dtype), tensor.shape))  # one zero, whatever the shape
    return StoredTensor(seen.shape, tensor.dtype, lambda: change(tensor.read()))


def from_torch(name: str, array: np.ndarray) -> np.ndarray:
    """PyTorch's layout -> ours: (O, I, h, w) -> (h, w, I, O); a linear layer or 1 x 1 convolution -> (I, O).

    `name`: a published name. The ``W`` of score_sde's own 1 x 1 convolutions (NIN) are (I, O) already.
    """
    if array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 and not name.endswith(".W") else array


def to_torch(name: str, array: np.ndarray) -> np.ndarray:
    """The inverse of `from_torch`, except that a 1 x 1 convolution stays a matrix, (O, I)."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 and not name.endswith(".W") else array


def from_flax(name: str, shape: tuple[int, ...], array: np.ndarray) -> np.ndarray:
    """The Flax layout -> ours, `shape`: without leading axes of size 1, or the first of several identical copies.

    Group norms of old Flax are (1, 1, 1, C), 1 x 1 convolutions (1, 1, I, O); a state saved from several devices has
    an axis for them. An array that is none of these stays as it is.
    Raises WeightsError if the copies differ.
    """
    if _without_ones(array.shape) == _without_ones(shape):
        return array.reshape(shape)
    if array.ndim == 0 or _without_ones(array.shape[1:]) != _without_ones(shape):
        return array
    if any(not np.array_equal(copy, array[0], equal_nan=True) for copy in array[1:]):
        raise WeightsError(f"{name} has {array.shape[0]} copies on its first axis that are not the same.")
    return array[0].reshape(shape)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    ones = next((axis for axis, size in enumerate(shape) if size != 1), len(shape))
    return shape[ones:]


def _pytorch_diffusion_name(path: str) -> str:
    module, *layers, leaf = path.split("/")
    module = re.sub(r"^(down|up)_(\d+)_(block|attn)_(\d+)$", r"\1.\2.\3.\4", module)
    module = re.sub(r"^(down|up)_(\d+)_(downsample|upsample)$", r"\1.\2.\3", module)
    module = re.sub(r"^mid_", "mid.", module)
    name = ".".join([module, *layers, TORCH_LEAVES[leaf]])
    name = name.replace("time_embed.dense_", "temb.dense.").replace("shortcut", "nin_shortcut")
    return re.sub(r"^head\.(norm|conv)", r"\1_out", name)


def _score_sde_name(net: DDPM | NCSNpp, modules: dict[str, str], path: str, layout: Layout) -> str:
    module, layer, leaf = _split(path, modules)
    if module.endswith("_pyramid") and not layer:
        layer = "Conv_0"
    elif layer:
        layer = _layers(net)[layer]
    parts = [modules[module], layer, _score_sde_leaf(layer, leaf, layout)]
    return ("." if layout == "score_sde" else "/").join(part for part in parts if part)


def _score_sde_leaf(layer: str, leaf: str, layout: Layout) -> str:
    if leaf == "frequencies":
        return "W"
    if layer.startswith("NIN"):
        return {"kernel": "W", "bias": "b"}[leaf]
    if layout == "score_sde" or layer == "Conv2d_0":
        return TORCH_LEAVES[leaf]
    return leaf


def _split(path: str, modules: dict[str, int] | dict[str, str]) -> tuple[str, str, str]:
    """Module, layer in it ("" if it is one itself) and leaf of `path`."""
    *parts, leaf = path.split("/")
    whole = "/".join(parts)
    return (whole, "", leaf) if whole in modules else (parts[0], parts[1], leaf)


def _layers(net: DDPM | NCSNpp) -> dict[str, str]:
    """Our layer: theirs, in the order of registration; a module has some of them."""
    biggan = isinstance(net, NCSNpp) and net.resblock == "biggan"
    fir = isinstance(net, NCSNpp) and net.fir
    return LAYERS | {"shortcut": "Conv_2" if biggan else "NIN_0", "conv": "Conv2d_0" if fir else "Conv_0"}


def _numbered(net: DDPM | NCSNpp) -> dict[str, str]:
    """Our module: ``all_modules.<index>``."""
    return {module: f"all_modules.{index}" for index, (module, _) in enumerate(_modules(net))}


def _counted(net: DDPM | NCSNpp) -> dict[str, str]:
    """Our module: its class and how many of that class came before it."""
    count = collections.Counter()
    names = {}
    for module, kind in _modules(net):
        names[module] = f"{kind}_{count[kind]}"
        count[kind] += 1
    return names


def _modules(net: DDPM | NCSNpp) -> Iterator[tuple[str, str]]:
    """Our module and its class in score_sde, in order of execution; a head and the embedding are several."""
    block, attention, halve, double = _classes(net)
    levels = range(net.num_levels)
    if net.conditional:
        if isinstance(net, NCSNpp) and net.embedding == "fourier":
            yield "time_embed", "GaussianFourierProjection"
        yield from (("time_embed/dense_0", "Dense"), ("time_embed/dense_1", "Dense"))
    yield "conv_in", "Conv"
    for level in levels:
        for j in range(net.num_res_blocks):
            yield f"down_{level}_block_{j}", block
            if level in net.attention_levels:
                yield f"down_{level}_attn_{j}", attention
        if level < levels[-1]:
            yield f"down_{level}_downsample", halve
            yield from _input_pyramid(net, level)
    yield from (("mid_block_1", block), ("mid_attn_1", attention), ("mid_block_2", block))
    for level in reversed(levels):
        yield from ((f"up_{level}_block_{j}", block) for j in range(net.num_res_blocks + 1))
        if level in net.attention_levels:
            yield f"up_{level}_attn_0", attention
        yield from _output_pyramid(net, level)
        if level > 0:
            yield f"up_{level}_upsample", double
    if not (isinstance(net, NCSNpp) and net.progressive == "output_skip"):
        yield from (("head/norm", "GroupNorm"), ("head/conv", "Conv"))


def _classes(net: DDPM | NCSNpp) -> tuple[str, str, str, str]:
    """Classes of the residual block, of attention, and of what halves and doubles the resolution."""
    if isinstance(net, DDPM):
        return "ResnetBlockDDPM", "AttnBlock", "Downsample", "Upsample"
    if net.resblock == "ddpm":
        return "ResnetBlockDDPMpp", "AttnBlockpp", "Downsample", "Upsample"
    return "ResnetBlockBigGANpp", "AttnBlockpp", "ResnetBlockBigGANpp", "ResnetBlockBigGANpp"


def _input_pyramid(net: DDPM | NCSNpp, level: int) -> Iterator[tuple[str, str]]:
    if isinstance(net, NCSNpp) and net.progressive_input != "none":
        yield f"down_{level}_pyramid", "Combine" if net.progressive_input == "input_skip" else "Downsample"


def _output_pyramid(net: DDPM | NCSNpp, level: int) -> Iterator[tuple[str, str]]:
    if not isinstance(net, NCSNpp) or net.progressive == "none":
        return
    if net.progressive == "output_skip" or level == net.num_levels - 1:
        yield from ((f"up_{level}_pyramid/norm", "GroupNorm"), (f"up_{level}_pyramid/conv", "Conv"))
    else:
        yield f"up_{level}_pyramid", "Upsample"
