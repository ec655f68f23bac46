"""The names that the published PyTorch networks give to our parameters.

Three families: SDEdit's DDPM (`down.0.block.1.conv1.weight`), and score_sde's `ddpm` and `ncsnpp`, which number their
modules in order of execution (`all_modules.17.Conv_0.weight`). Ours are paths such as `down_0_block_1/conv1/kernel`.
"""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from sdedit_jax.models import DDPM, NCSNpp

BLOCK_LAYERS = {
    "norm1": "GroupNorm_0",
    "conv1": "Conv_0",
    "temb_proj": "Dense_0",
    "norm2": "GroupNorm_1",
    "conv2": "Conv_1",
}
ATTENTION_LAYERS = {"norm": "GroupNorm_0", "q": "NIN_0", "k": "NIN_1", "v": "NIN_2", "proj_out": "NIN_3"}
TORCH_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias"}


def torch_names(net: DDPM | NCSNpp, paths: Iterable[str]) -> dict[str, str]:
    """{our path: published name} for all `paths` of the parameters of `net`."""
    if isinstance(net, DDPM) and net.attention_up == "every_block":
        return {path: _sdedit_name(path) for path in paths}
    index = {module: i for i, module in enumerate(_modules_in_order(net))}
    return {path: _score_sde_name(net, index, path) for path in paths}


def to_torch(name: str, array: np.ndarray) -> np.ndarray:
    """Our parameter in the layout of PyTorch; NIN's `W` is (in, out) there too."""
    if array.ndim == 4:
        return array.transpose(3, 2, 0, 1)
    return array.T if array.ndim == 2 and not name.endswith(".W") else array


def from_torch(name: str, array: np.ndarray) -> np.ndarray:
    """The inverse of `to_torch`; 1 x 1 convolutions become (in, out) matrices."""
    if array.ndim == 4 and array.shape[2:] == (1, 1):
        array = array[:, :, 0, 0]
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)
    return array.T if array.ndim == 2 and not name.endswith(".W") else array


def _sdedit_name(path: str) -> str:
    module, *layers, leaf = path.split("/")
    module = re.sub(r"^(down|up)_(\d+)_(block|attn)_(\d+)$", r"\1.\2.\3.\4", module)
    module = re.sub(r"^(down|up)_(\d+)_(downsample|upsample)$", r"\1.\2.\3", module)
    module = re.sub(r"^mid_", "mid.", module)
    name = ".".join([module, *layers, TORCH_LEAVES[leaf]])
    name = name.replace("time_embed.dense_", "temb.dense.").replace("shortcut", "nin_shortcut")
    return re.sub(r"^head\.(norm|conv)", r"\1_out", name)


def _score_sde_name(net: DDPM | NCSNpp, index: dict[str, int], path: str) -> str:
    module, *layers, leaf = path.split("/")
    if module == "time_embed" and leaf == "frequencies":
        return f"all_modules.{index['time_embed/frequencies']}.W"
    if path.rsplit("/", 1)[0] in index:
        return f"all_modules.{index[path.rsplit('/', 1)[0]]}.{TORCH_LEAVES[leaf]}"
    layer = _score_sde_layer(net, module, *layers)
    leaf = {"kernel": "W", "bias": "b"}[leaf] if layer.startswith("NIN") else TORCH_LEAVES[leaf]
    return f"all_modules.{index[module]}.{layer}.{leaf}"


def _score_sde_layer(net: DDPM | NCSNpp, module: str, layer: str | None = None) -> str:
    if "_attn_" in module:
        return ATTENTION_LAYERS[layer]
    if layer == "shortcut":
        return "Conv_2" if isinstance(net, NCSNpp) else "NIN_0"
    if module.endswith("_pyramid"):
        return "Conv2d_0" if layer == "conv" else "Conv_0"
    return "Conv_0" if layer == "conv" else BLOCK_LAYERS[layer]


def _modules_in_order(net: DDPM | NCSNpp) -> Iterator[str]:
    """Our module behind each entry of `all_modules`; a head is two of them."""
    levels = range(len(net.channel_mults))
    progressive, progressive_input = (
        (net.progressive, net.progressive_input) if isinstance(net, NCSNpp) else ("none", "none")
    )
    if isinstance(net, NCSNpp) and net.embedding == "fourier":
        yield "time_embed/frequencies"
    yield from ("time_embed/dense_0", "time_embed/dense_1", "conv_in")
    for level in levels:
        for j in range(net.num_res_blocks):
            yield f"down_{level}_block_{j}"
            if level in net.attention_levels:
                yield f"down_{level}_attn_{j}"
        if level < levels[-1]:
            yield f"down_{level}_downsample"
            if progressive_input != "none":
                yield f"down_{level}_pyramid"
    yield from ("mid_block_1", "mid_attn_1", "mid_block_2")
    for level in reversed(levels):
        yield from (f"up_{level}_block_{j}" for j in range(net.num_res_blocks + 1))
        if level in net.attention_levels:
            yield f"up_{level}_attn_0"
        if progressive == "output_skip":
            yield from (f"up_{level}_pyramid/norm", f"up_{level}_pyramid/conv")
        if level > 0:
            yield f"up_{level}_upsample"
    if progressive == "none":
        yield from ("head/norm", "head/conv")
