"""What the config.json of a `UNet2DModel` of diffusers says of a network, in the terms of this program, and back.

It has two of the networks here: the U-Net of DDPM with attention after every block
(``DownBlock2D``, ...), and NCSN++ with its pyramids of inputs and outputs (``SkipDownBlock2D``, ...).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax

from sdedit_jax import trees
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.models.layers import num_groups
from sdedit_jax.models.ncsnpp import MIN_GROUP_SIZE
from sdedit_jax.weights.stored import WeightsError

# What a field is that config.json leaves out, from the signatures of diffusers 0.42. Its published networks differ.
UNET_DEFAULTS: Mapping[str, Any] = {
    "sample_size": None,
    "in_channels": 3,
    "out_channels": 3,
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "freq_shift": 0,
    "flip_sin_to_cos": True,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
    "mid_block_type": "UNetMidBlock2D",
    "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (224, 448, 672, 896),
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "downsample_padding": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attention_head_dim": 8,
    "norm_num_groups": 32,
    "attn_norm_num_groups": None,
    "norm_eps": 1e-5,
    "resnet_time_scale_shift": "default",
    "add_attention": True,
    "class_embed_type": None,
    "num_class_embeds": None,
    "num_train_timesteps": None,
}
# Fields that do not change what a trained network computes.
WITHOUT_EFFECT = {"sample_size", "dropout", "num_train_timesteps"}
# What is beyond is an attack or a mistake: a network of a billion layers would never be done.
MAX_LEVELS, MAX_LAYERS, MAX_WIDTH = 16, 64, 65_536
# Fields of the networks here of which diffusers has one value only.
EXPRESSIBLE: Mapping[str, dict[str, Any]] = {
    "every": {"patch_size": 1, "conditional": True},
    "ddpm": {"attention_up": "every_block"},
    "ncsnpp": {
        "progressive": "output_skip",
        "progressive_input": "input_skip",
        "fir": True,
        "resblock": "biggan",
        "skip_rescale": True,
    },
}


def model_section(unet: Mapping[str, Any]) -> dict[str, Any]:
    """`config.model` of the network that comes closest to a config.json; `require_equal` tells whether it is the one.

    `unet`: all fields of `UNET_DEFAULTS`. Raises WeightsError for another kind of network.
    """
    blocks, widths = unet["down_block_types"], unet["block_out_channels"]
    if not _is_list_of(blocks, str) or not _is_list_of(widths, int) or len(blocks) != len(widths):
        raise WeightsError(f"block_out_channels {widths!r} must have a number for each of down_block_types {blocks!r}.")
    kinds = [re.fullmatch(r"(Attn)?(Skip)?DownBlock2D", block) for block in blocks]
    if None in kinds or len({kind[2] for kind in kinds if kind}) > 1:
        raise WeightsError(
            f"down_block_types is {blocks!r}, and supported are DownBlock2D and AttnDownBlock2D, "
            "or SkipDownBlock2D and AttnSkipDownBlock2D."
        )
    if min(widths) < 1 or any(width % widths[0] for width in widths):
        raise WeightsError(f"block_out_channels is {widths!r}, and supported are multiples of the first.")
    _require_buildable(widths, unet["layers_per_block"])
    fields = {
        "name": "ddpm",
        "channels": widths[0],
        "channel_mults": tuple(width // widths[0] for width in widths),
        "num_res_blocks": unet["layers_per_block"],
        "attention_levels": tuple(level for level, block in enumerate(blocks) if block.startswith("Attn")),
        "dropout": unet["dropout"],
    }
    if "Skip" not in blocks[0]:
        return fields
    # With Fourier features diffusers divides by sigma what the last convolution gives, and takes it for the score.
    fourier = unet["time_embedding_type"] == "fourier"
    kind = {"embedding": "fourier", "output": "scaled_score"} if fourier else {"embedding": "positional"}
    return fields | {"name": "ncsnpp"} | kind


def require_equal(unet: Mapping[str, Any], model: nn.Module, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> None:
    """WeightsError that names each field of a config.json, `unet`, that makes it another network than `model`.

    `shapes`: the parameters of `model` by path.
    """
    wanted = unet_config(model, shapes)
    found = _canonical(unet, wanted)
    names = [name for name in UNET_DEFAULTS if name not in WITHOUT_EFFECT and found[name] != wanted[name]]
    lines = [f"{name} is {found[name]!r}, and supported is {wanted[name]!r}" for name in names]
    if lines:
        raise WeightsError(f"its network is none of this program:{trees.listing(lines)}")


def unet_config(model: nn.Module, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    """config.json of the `UNet2DModel` that is `model`, except for the size of its pictures.

    `shapes`: the parameters of `model` by path. Raises WeightsError for a network that has no such form.
    """
    if not isinstance(model, DDPM | NCSNpp):
        raise WeightsError(f"diffusers has no form for {type(model).__name__}, a network with preconditioning.")
    _require_expressible(model)
    skip, fourier = isinstance(model, NCSNpp), is_fourier(model)
    levels = range(model.num_levels)
    kinds = ["Attn" * (level in model.attention_levels) + "Skip" * skip for level in levels]
    return {
        "_class_name": "UNet2DModel",
        **UNET_DEFAULTS,
        "center_input_sample": fourier,
        "time_embedding_type": "fourier" if fourier else "positional",
        "freq_shift": 0 if fourier else 1,
        "flip_sin_to_cos": fourier,
        "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
        "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
        "block_out_channels": [model.width(level) for level in levels],
        "layers_per_block": model.num_res_blocks,
        "mid_block_scale_factor": math.sqrt(2.0) if skip else 1,
        "downsample_padding": 1 if skip else 0,
        "dropout": model.dropout,
        "attention_head_dim": None,
        "norm_num_groups": _norm_num_groups(model, shapes),
        "norm_eps": 1e-6,
    }


def is_fourier(model: nn.Module) -> bool:
    """Whether the network is told the logarithm of sigma in Fourier features."""
    return isinstance(model, NCSNpp) and model.embedding == "fourier"


def _require_buildable(widths: Sequence[int], layers_per_block: Any) -> None:
    """WeightsError for sizes that no network has, before anything is built of them."""
    if len(widths) > MAX_LEVELS or max(widths) > MAX_WIDTH:
        raise WeightsError(
            f"block_out_channels are {len(widths)} numbers up to {max(widths):.6g}, and supported are {MAX_LEVELS} up "
            f"to {MAX_WIDTH}."
        )
    whole = isinstance(layers_per_block, int) and not isinstance(layers_per_block, bool)
    if not whole or not 1 <= layers_per_block <= MAX_LAYERS:
        raise WeightsError(f"layers_per_block must be a number from 1 to {MAX_LAYERS}, got {layers_per_block!r:.50}.")


def _require_expressible(model: DDPM | NCSNpp) -> None:
    wanted = EXPRESSIBLE["every"] | EXPRESSIBLE["ncsnpp" if isinstance(model, NCSNpp) else "ddpm"]
    found = {name: getattr(model, name) for name in wanted}
    wrong = [f"{name} {found[name]!r} must be {value!r}" for name, value in wanted.items() if found[name] != value]
    if model.channel_mults[0] != 1:
        wrong.append(f"channel_mults {model.channel_mults} must begin with 1")
    if wrong:
        raise WeightsError(f"diffusers has no form for this {type(model).__name__}: {'; '.join(wrong)}.")


def _norm_num_groups(model: DDPM | NCSNpp, shapes: Mapping[str, jax.ShapeDtypeStruct]) -> int | None:
    """diffusers' one number of groups for all of DDPM; for NCSN++ None, which leaves it to the widths as we do."""
    norms = {path.removesuffix("/scale"): leaf.shape[0] for path, leaf in shapes.items() if path.endswith("/scale")}
    if isinstance(model, DDPM):
        groups = {num_groups(width, 1) for width in norms.values()}
        if len(groups) > 1:
            raise WeightsError(f"diffusers normalises a DDPM in one number of groups; these widths are in {groups}.")
        return groups.pop()
    attention = [rf"(down|up)_{level}_attn_\d+/norm|up_{level}_block_\d+/norm1" for level in model.attention_levels]
    for path, width in norms.items():
        # Where there is attention, the number is 32 whatever the width.
        theirs = 32 if any(re.fullmatch(pattern, path) for pattern in attention) else min(width // 4, 32)
        ours = num_groups(width, MIN_GROUP_SIZE)
        if ours != theirs:
            raise WeightsError(f"{path} normalises {width} channels in {ours} groups; diffusers would in {theirs}.")
    return None


def _canonical(unet: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`unet` with the value of `wanted` in each field where its own means the same."""
    widths, blocks = wanted["block_out_channels"], wanted["down_block_types"]
    same: dict[str, Any] = {name: list(value) for name, value in unet.items() if isinstance(value, tuple)}
    with_attention = {width for width, block in zip(widths, blocks, strict=True) if "Attn" in block} | {widths[-1]}
    if all(width == unet["attention_head_dim"] for width in with_attention):  # one head
        same["attention_head_dim"] = None
    if unet["act_fn"] == "swish":
        same["act_fn"] = "silu"
    if unet["time_embedding_dim"] == 4 * widths[0]:
        same["time_embedding_dim"] = None
    if wanted["time_embedding_type"] == "fourier":
        same |= {name: wanted[name] for name in ("freq_shift", "flip_sin_to_cos")}
    if len(widths) == 1 or "Skip" in blocks[0]:  # no convolution with a stride
        same["downsample_padding"] = wanted["downsample_padding"]
    if "Skip" in blocks[0] and all(unet["norm_num_groups"] == min(widths[end] // 4, 32) for end in (0, -1)):
        same["norm_num_groups"] = None
    scale = unet["mid_block_scale_factor"]
    if isinstance(scale, float) and math.isclose(scale, wanted["mid_block_scale_factor"], rel_tol=1e-6):
        same["mid_block_scale_factor"] = wanted["mid_block_scale_factor"]
    return {**unet, **same}


def _is_list_of(value: Any, kind: type) -> bool:
    plain = isinstance(value, list | tuple) and len(value) > 0
    return plain and all(isinstance(item, kind) and not isinstance(item, bool) for item in value)
