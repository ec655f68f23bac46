"""The names that the `UNet2DModel` of diffusers gives to our parameters, in the layouts of PyTorch.

Our levels on the way up are numbered by resolution, theirs in the order of execution: ``up_0_block_1/conv1/kernel`` of
a network with four levels is ``up_blocks.3.resnets.1.conv1.weight``.
"""

import re
from collections.abc import Iterable

import numpy as np

from sdedit_jax.weights.published import names

# Applied in this order to our path; what is left of its slashes becomes dots.
RENAMES = {
    r"^time_embed/frequencies$": "time_proj.weight",
    r"^time_embed/dense_0/": "time_embedding.linear_1.",
    r"^time_embed/dense_1/": "time_embedding.linear_2.",
    r"^head/norm/": "conv_norm_out.",
    r"^head/conv/": "conv_out.",
    r"^mid_block_1/": "mid_block.resnets.0.",
    r"^mid_attn_1/": "mid_block.attentions.0.",
    r"^mid_block_2/": "mid_block.resnets.1.",
    r"^down_(\d+)_": r"down_blocks.\1.",
    r"\bblock_(\d+)/": r"resnets.\1.",
    r"\battn_(\d+)/": r"attentions.\1.",
    r"\b(down|up)sample/conv/": r"\1samplers.0.conv.",
    r"\b(down|up)sample/": r"resnet_\1.",
    r"\bpyramid/(norm|conv)/": r"skip_\1.",
    r"\bpyramid/": "skip_conv.",
    r"(attentions\.\d+)\.norm/": r"\1.group_norm.",
    r"(attentions\.\d+)\.([qkv])/": r"\1.to_\2.",
    r"(attentions\.\d+)\.proj_out/": r"\1.to_out.0.",
    r"\btemb_proj/": "time_emb_proj.",
    r"\bshortcut/": "conv_shortcut.",
    r"\b(kernel|scale)$": "weight",
    r"/": ".",
}
# What files of 2022 say instead; some hold the same tensor under both names.
OLD_NAMES = {
    r"(attentions\.\d+)\.query\.": r"\1.to_q.",
    r"(attentions\.\d+)\.key\.": r"\1.to_k.",
    r"(attentions\.\d+)\.value\.": r"\1.to_v.",
    r"(attentions\.\d+)\.proj_attn\.": r"\1.to_out.0.",
    r"downsamplers\.0\.(op|Conv2d_0)\.": "downsamplers.0.conv.",
    r"^time_proj\.W$": "time_proj.weight",
}


def diffusers_name(path: str, num_levels: int) -> str:
    """The name in diffusers of our parameter `path`, of a network with that many levels."""
    path = re.sub(r"^up_0_pyramid/", "head/", path)  # the outputs of the finest level are those of the network
    path = re.sub(r"^up_(\d+)_", lambda match: f"up_blocks.{num_levels - 1 - int(match[1])}.", path)
    return _renamed(path, RENAMES)


def current_names(found: Iterable[str]) -> dict[str, str]:
    """{name of today: the one of `found` that stands for it}; where that is among them, old ones are left out."""
    current = {}
    for name in sorted(found, key=lambda name: _renamed(name, OLD_NAMES) != name):
        current.setdefault(_renamed(name, OLD_NAMES), name)
    return current


def to_diffusers(name: str, array: np.ndarray) -> np.ndarray:
    """Our array in the layout of `name` there, in which some linear layers are convolutions, (O, I, 1, 1)."""
    array = names.to_torch(name, array)
    convolution = name.endswith(("conv_shortcut.weight", "skip_conv.weight"))
    return array[:, :, None, None] if convolution and array.ndim == 2 else array


def _renamed(name: str, renames: dict[str, str]) -> str:
    for pattern, replacement in renames.items():
        name = re.sub(pattern, replacement, name)
    return name
