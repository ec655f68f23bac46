"""NCSN++ and DDPM++, the networks of Song et al. 2021 (arXiv:2011.13456), appendix H.

NCSN++ for images of 256 x 256 and larger feeds a pyramid of smaller inputs in on the way down ("input_skip") and adds
up a pyramid of outputs on the way up ("output_skip"); the CIFAR-10 nets have a "residual" pyramid at the input alone.
DDPM++ has neither, no FIR filter and a positional embedding: `NCSNpp(fir=False, progressive="none",
progressive_input="none", embedding="positional")`. The published VE nets have `output="scaled_score"`.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.models.convolution import Conv
from sdedit_jax.models.layers import (
    AttentionBlock,
    Downsample,
    Embedding,
    Head,
    ResBlock,
    TimeEmbedding,
    Upsample,
    dense,
    residual_sum,
)
from sdedit_jax.models.resample import fir_downsample, fir_upsample, mean_downsample, nearest_upsample
from sdedit_jax.models.unet import UNet, require_choice

Progressive = Literal["none", "output_skip", "residual"]
ProgressiveInput = Literal["none", "input_skip", "residual"]
ResBlockType = Literal["biggan", "ddpm"]

MIN_GROUP_SIZE = 4  # channels per group, where there are fewer than 128


class NCSNpp(UNet):
    """NCSN++; `net(x, noise_label)` is the noise prediction. The fields common to all nets are those of `UNet`.

    Fields:
        embedding: "fourier" features of log(noise_label), or "positional" (sinusoidal) ones of noise_label.
        fourier_scale: standard deviation of the Fourier frequencies.
        progressive: how smaller outputs contribute: "none", "output_skip" (their sum is the output), "residual".
        progressive_input: how smaller inputs contribute: "none", "input_skip" (a 1 x 1 convolution adds them),
            "residual".
        fir: resample with the filter [1, 3, 3, 1] instead of means and repeated pixels.
        resblock: "biggan" changes the resolution inside residual blocks, "ddpm" by convolutions between them.
        skip_rescale: divide residual sums by sqrt(2).
        init_scale: scale of the last convolution of each block and of the outputs at the start; 0 means almost nothing.
    """

    embedding: Embedding = "fourier"
    fourier_scale: float = 16.0
    progressive: Progressive = "output_skip"
    progressive_input: ProgressiveInput = "input_skip"
    fir: bool = True
    resblock: ResBlockType = "biggan"
    skip_rescale: bool = True
    init_scale: float = 0.0

    def __post_init__(self):
        """Refuses fields without a meaning."""
        super().__post_init__()
        require_choice("embedding", self.embedding, get_args(Embedding))
        require_choice("progressive", self.progressive, get_args(Progressive))
        require_choice("progressive_input", self.progressive_input, get_args(ProgressiveInput))
        require_choice("resblock", self.resblock, get_args(ResBlockType))

    def embed(self, noise_label: jax.Array) -> jax.Array:
        """(B, 4 channels): the features of `noise_label` that every residual block sees."""
        return TimeEmbedding(self.channels, self.embedding, self.fourier_scale, name="time_embed")(noise_label)

    def down(self, x: jax.Array, temb: jax.Array | None, train: bool) -> list[jax.Array]:
        """All results of the way down, the coarsest last; below each level the input pyramid joins in."""
        pyramid = x
        # In float32: the least noise, 0.02, has the size of a rounding of the picture to bfloat16.
        skips = [Conv(self.channels, name="conv_in")(x).astype(self.dtype)]
        for level in range(self.num_levels):
            for j in range(self.num_res_blocks):
                h = self.res_block(self.width(level), train, name=f"down_{level}_block_{j}")(skips[-1], temb)
                if level in self.attention_levels:
                    h = self.attention(name=f"down_{level}_attn_{j}")(h)
                skips.append(h)
            if level < self.num_levels - 1:
                h = self._halve(skips[-1], temb, train, name=f"down_{level}_downsample")
                h, pyramid = self._join_input(h, pyramid, name=f"down_{level}_pyramid")
                skips.append(h)
        return skips

    def up(
        self, h: jax.Array, skips: Sequence[jax.Array], temb: jax.Array | None, train: bool, *, features: int
    ) -> jax.Array:
        """The output (B, H, W, features), float32: of the finest level, or the sum of those of all levels."""
        skips, pyramid = list(skips), None
        for level in reversed(range(self.num_levels)):
            for j in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self.res_block(self.width(level), train, name=f"up_{level}_block_{j}")(h, temb)
            if level in self.attention_levels:
                h = self.attention(name=f"up_{level}_attn_0")(h)
            h, pyramid = self._join_output(h, pyramid, features, name=f"up_{level}_pyramid")
            if level > 0:
                h = self._double(h, temb, train, name=f"up_{level}_upsample")
        if pyramid is not None and self.progressive == "output_skip":
            return pyramid
        return self._head(features, name="head")(h)

    def res_block(
        self, features: int, train: bool, *, name: str, resample: Callable[[jax.Array], jax.Array] | None = None
    ) -> nn.Module:
        """The residual block called `name`, a function of (x, temb)."""
        return (nn.remat(ResBlock) if self.remat else ResBlock)(
            features,
            resample,
            dropout=self.dropout if train else 0.0,
            rescale=self.skip_rescale,
            min_group_size=MIN_GROUP_SIZE,
            init_scale=self.init_scale,
            dtype=self.dtype,
            name=name,
        )

    def attention(self, *, name: str) -> nn.Module:
        """The attention block called `name`, a function of x."""
        block = nn.remat(AttentionBlock) if self.remat else AttentionBlock
        return block(self.skip_rescale, MIN_GROUP_SIZE, self.init_scale, self.dtype, name=name)

    def _head(self, features: int, *, name: str) -> nn.Module:
        return Head(features, MIN_GROUP_SIZE, self.init_scale, name=name)

    def _halve(self, h: jax.Array, temb: jax.Array | None, train: bool, *, name: str) -> jax.Array:
        if self.resblock == "ddpm":
            return Downsample(h.shape[-1], self.fir, self.dtype, name=name)(h)
        return self.res_block(h.shape[-1], train, name=name, resample=self._shrink)(h, temb)

    def _double(self, h: jax.Array, temb: jax.Array | None, train: bool, *, name: str) -> jax.Array:
        if self.resblock == "ddpm":
            return Upsample(h.shape[-1], self.fir, self.dtype, name=name)(h)
        return self.res_block(h.shape[-1], train, name=name, resample=self._enlarge)(h, temb)

    def _join_input(self, h: jax.Array, pyramid: jax.Array, *, name: str) -> tuple[jax.Array, jax.Array]:
        """`h` with the next smaller input added, and that input."""
        if self.progressive_input == "input_skip":
            pyramid = self._shrink(pyramid)
            h = h + dense(h.shape[-1], dtype=self.dtype, name=name)(pyramid)
        elif self.progressive_input == "residual":
            pyramid = Downsample(h.shape[-1], self.fir, self.dtype, name=name)(pyramid)
            h = pyramid = residual_sum(pyramid, h, self.skip_rescale)
        return h, pyramid

    def _join_output(
        self, h: jax.Array, pyramid: jax.Array | None, features: int, *, name: str
    ) -> tuple[jax.Array, jax.Array | None]:
        """`h` and the sum of the outputs of all levels up to its own; "residual" goes on from that sum."""
        if self.progressive == "output_skip":
            output = self._head(features, name=name)(h)
            pyramid = output if pyramid is None else self._enlarge(pyramid) + output
        elif self.progressive == "residual":
            if pyramid is None:
                h = Head(h.shape[-1], MIN_GROUP_SIZE, init_scale=1.0, dtype=self.dtype, name=name)(h)
            else:
                larger = Upsample(h.shape[-1], self.fir, self.dtype, name=name)(pyramid)
                h = residual_sum(larger, h, self.skip_rescale)
            pyramid = h
        return h, pyramid

    @property
    def _shrink(self) -> Callable[[jax.Array], jax.Array]:
        return fir_downsample if self.fir else mean_downsample

    @property
    def _enlarge(self) -> Callable[[jax.Array], jax.Array]:
        return fir_upsample if self.fir else nearest_upsample
