"""The network that a published checkpoint belongs to, told from the names and shapes in it.

Files of weights say nothing about the network. Its depth, widths, attention and pyramids show in which tensors there
are; what leaves no trace is assumed to be as in the published networks, and said.

Widths are those of the biases: a bias has one value per channel in every layout.
"""

import collections
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sdedit_jax.weights.published.names import Layout
from sdedit_jax.weights.stored import WeightsError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]

# {channel_mults: the level with attention}. A Flax file shows only the width of it, which several levels can have.
ATTENTION_LEVEL = {(1, 2, 2, 2): 1, (1, 1, 2, 2, 4, 4): 4, (1, 1, 2, 2, 2, 2, 2): 4, (1, 2, 4, 8, 16, 32, 32, 32): 6}
KINDS = {
    "GaussianFourierProjection": "fourier",
    "Dense": "dense",
    "Conv": "conv",
    "GroupNorm": "norm",
    "ResnetBlockBigGANpp": "block",
    "ResnetBlockDDPM": "block",
    "AttnBlockpp": "attention",
    "AttnBlock": "attention",
    "Combine": "combine",
    "Downsample": "resample",
    "Upsample": "resample",
}
SUPPORTED = (
    "the DDPM of SDEdit and pesser/pytorch_diffusion (conv_in.weight, down.0.block.0.norm1.weight, ...) and the ddpm, "
    "DDPM++ and NCSN++ of score_sde, from PyTorch (all_modules.0.weight, ...) or Flax (params_ema/Conv_0/kernel, ...)"
)

DROPOUT = "config.model.dropout is 0: weights do not tell, and it matters in training only."
SKIP_RESCALE = "config.model.skip_rescale is true, as in every published NCSN++ and DDPM++."
FIR = "config.model.fir is true, as in every published NCSN++."
NO_FIR = "config.model.fir is false, as in every published DDPM++."
ATTENTION = "config.model.attention_levels is {}, as in the published network of these widths."


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a config, as far as a file tells it."""

    fields: Mapping[str, Any]
    assumed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """{field: a sentence} for what the file does not tell."""

    def given(self, fields: Mapping[str, Any]) -> "Section":
        """The section with `fields` that somebody knows, of which nothing is assumed any more."""
        assumed = {field: why for field, why in self.assumed.items() if field not in fields}
        return Section({**self.fields, **fields}, assumed)


def infer(shapes: Shapes, layout: Layout, given: Mapping[str, Any]) -> Section:
    """config.model, all but `output`, of the network with these `shapes`, {published name: shape in the file}.

    `given` are fields that the caller knows; they take the place of what would be found or assumed.
    Raises WeightsError if this is no network of the `layout`, or if it does not show where its attention is.
    """
    if layout == "pytorch_diffusion":
        fields, assumed = _pytorch_diffusion(shapes), {}
    else:
        fields, assumed = _score_sde(_outline(_modules(shapes, layout)), layout, given)
    return Section({**fields, "dropout": 0.0}, {**assumed, "dropout": DROPOUT}).given(given)


def _pytorch_diffusion(shapes: Shapes) -> dict[str, Any]:
    num_levels = _count(shapes, "down.{}.block.0.norm1.bias")
    widths = [_width(shapes, f"down.{level}.block.0.conv1.bias") for level in range(num_levels)]
    channels = _width(shapes, "conv_in.bias")
    return {
        "name": "ddpm",
        "attention_up": "every_block",
        "channels": channels,
        "channel_mults": tuple(width // channels for width in widths),
        "num_res_blocks": _count(shapes, "down.0.block.{}.norm1.bias"),
        "attention_levels": tuple(level for level in range(num_levels) if f"down.{level}.attn.0.norm.bias" in shapes),
        "conditional": "temb.dense.0.bias" in shapes,
    }


def _count(shapes: Shapes, pattern: str) -> int:
    """How many of the names pattern(0), pattern(1), ... there are before one is missing."""
    return next(i for i in itertools.count() if pattern.format(i) not in shapes)


def _width(shapes: Shapes, bias: str, of: str = "the network") -> int:
    shape = shapes.get(bias, ())
    if not shape or 0 in shape:
        raise WeightsError(f"{bias} of {of} is missing or empty. What can be read is {SUPPORTED}.")
    return shape[-1]


@dataclasses.dataclass(frozen=True)
class _Module:
    """One of score_sde's modules, with the shapes of its parameters by layer and leaf (``Conv_0.bias``)."""

    name: str
    kind: str
    shapes: Shapes

    def width(self, layer: str = "") -> int:
        """The channels that come out of `layer`, or of a module that is one."""
        return _width(self.shapes, f"{layer}bias", of=self.name)

    @property
    def resamples(self) -> bool:
        """Whether it is a BigGAN block that changes the resolution: only then an equal width needs a shortcut."""
        return "Conv_2.bias" in self.shapes and self.width("GroupNorm_0.") == self.width("GroupNorm_1.")


def _modules(shapes: Shapes, layout: Layout) -> list[_Module]:
    """Of PyTorch in order of execution, of Flax class by class."""
    torch = layout == "score_sde"
    form = r"all_modules()\.(\d+)\.(.+)" if torch else r"([A-Za-z]+)_(\d+)/(.+)"
    grouped = collections.defaultdict(dict)
    for name, shape in shapes.items():
        if match := re.fullmatch(form, name):
            kind, index, leaf = match.groups()
            grouped[kind, int(index)][leaf.replace("/", ".")] = shape
    return [
        _Module(f"all_modules.{index}" if torch else f"{kind}_{index}", KINDS.get(kind) or _torch_kind(leaves), leaves)
        for (kind, index), leaves in sorted(grouped.items())
    ]


def _torch_kind(shapes: Shapes) -> str:
    """What a module of PyTorch is, of which names show only the layers."""
    if "GroupNorm_1.bias" in shapes:
        return "block"
    if "NIN_3.b" in shapes:
        return "attention"
    if "Conv_0.weight" in shapes and shapes["Conv_0.weight"][2:] == (1, 1):
        return "combine"
    if "Conv_0.weight" in shapes or "Conv2d_0.weight" in shapes:
        return "resample"
    return "fourier" if "W" in shapes else {1: "norm", 2: "dense", 4: "conv"}.get(len(shapes.get("weight", ())), "")


@dataclasses.dataclass(frozen=True)
class _Outline:
    """How many levels score_sde's modules make, and of which widths."""

    modules: Sequence[_Module]
    of: Mapping[str, Sequence[_Module]]
    """The modules of each kind."""
    biggan: bool
    """Whether residual blocks resample, as in NCSN++ and DDPM++, and not modules of their own."""
    num_res_blocks: int
    widths: tuple[int, ...]

    @property
    def channel_mults(self) -> tuple[int, ...]:
        """The widths in units of the first convolution's."""
        return tuple(width // self.of["conv"][0].width() for width in self.widths)

    @property
    def blocks_per_level(self) -> int:
        """Blocks on the way down from the first of a level to the first of the next."""
        return self.num_res_blocks + self.biggan


def _outline(modules: Sequence[_Module]) -> _Outline:
    of = {kind: [module for module in modules if module.kind == kind] for kind in KINDS.values()}
    blocks = of["block"]
    if not (blocks and of["conv"] and of["attention"]):
        raise WeightsError(
            f"it has no first convolution, residual blocks or attention. What can be read is {SUPPORTED}."
        )
    biggan = any("Conv_2.bias" in block.shapes for block in blocks)
    resampling = [block for block in blocks if block.resamples] if biggan else of["resample"]
    num_levels = 1 + len(resampling) // 2
    # L levels have L (2 n + 1) + 2 blocks on the way down, in the middle and up; BigGAN nets 2 (L - 1) more.
    num_res_blocks = (len(blocks) // num_levels - 3 if biggan else (len(blocks) - 2) // num_levels - 1) // 2
    if num_res_blocks < 1:
        raise WeightsError(f"{len(blocks)} residual blocks do not make a network of {num_levels} levels.")
    first = range(0, num_levels * (num_res_blocks + biggan), num_res_blocks + biggan)
    return _Outline(modules, of, biggan, num_res_blocks, tuple(blocks[j].width("GroupNorm_1.") for j in first))


def _score_sde(outline: _Outline, layout: Layout, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields of score_sde's `ddpm` or `ncsnpp`, and what of them is assumed."""
    fields, assumed = _plus(outline) if outline.biggan else ({"name": "ddpm", "attention_up": "once_per_level"}, {})
    fields |= {
        "channels": outline.of["conv"][0].width(),
        "channel_mults": outline.channel_mults,
        "num_res_blocks": outline.num_res_blocks,
        "conditional": bool(outline.of["dense"]),
    }
    if layout == "score_sde":
        return fields | {"attention_levels": _attention_in_order(outline)}, assumed
    if "attention_levels" in given:
        return fields, assumed
    levels, why = _attention_by_width(outline)
    return fields | {"attention_levels": levels}, assumed | why


def _plus(outline: _Outline) -> tuple[dict[str, Any], dict[str, str]]:
    """What only NCSN++ and DDPM++ have."""
    output_skip, input_skip, smaller = len(outline.of["norm"]) > 1, outline.of["combine"], outline.of["resample"]
    fir = "Conv2d_0.bias" in smaller[0].shapes if smaller else bool(output_skip or input_skip)
    fields = {
        "name": "ncsnpp",
        "embedding": "fourier" if outline.of["fourier"] else "positional",
        "progressive": "output_skip" if output_skip else "none",
        "progressive_input": "input_skip" if input_skip else "residual" if smaller else "none",
        "fir": fir,
        "resblock": "biggan",
        "skip_rescale": True,
    }
    return fields, {"skip_rescale": SKIP_RESCALE} | ({} if smaller else {"fir": FIR if fir else NO_FIR})


def _attention_in_order(outline: _Outline) -> tuple[int, ...]:
    """The levels with attention, from how many blocks come before it."""
    levels, num_blocks = set(), 0
    num_down_blocks = len(outline.widths) * outline.blocks_per_level - outline.biggan
    for module in outline.modules:
        num_blocks += module.kind == "block"
        if module.kind == "attention" and 0 < num_blocks <= num_down_blocks:
            levels.add((num_blocks - 1) // outline.blocks_per_level)
    return tuple(sorted(levels))


def _attention_by_width(outline: _Outline) -> tuple[tuple[int, ...], dict[str, str]]:
    """The levels with attention, from how wide it is, and the sentence for it if that leaves a choice."""
    attention = outline.of["attention"]
    # One in the middle of the network, and for each level one behind every block down and one on the way up.
    num_levels = (len(attention) - 1) // (outline.num_res_blocks + 1)
    width = attention[0].width("GroupNorm_0.")
    candidates = [level for level, other in enumerate(outline.widths) if other == width]
    published = ATTENTION_LEVEL.get(outline.channel_mults)
    if num_levels == 0:
        return (), {}
    if num_levels == 1 and len(candidates) == 1:
        return tuple(candidates), {}
    if num_levels == 1 and published in candidates:
        return (published,), {"attention_levels": ATTENTION.format((published,))}
    raise WeightsError(
        f"A Flax file does not show which {num_levels} of the levels {candidates} have attention; "
        f"say it, as in model={{'attention_levels': ({max(candidates, default=0)},)}}."
    )
