"""What the U-Nets share: fields, embedding of the noise label, patches, the middle of the net, the sign of the output.

A U-Net goes down through resolution levels (level 0 is the finest), keeps every result, and takes them back in reverse
order on the way up. Attention is placed by level, not by size, so a net runs at any H and W that are multiples of its
`downsampling_factor`.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.typing import DTypeLike

from sdedit_jax.models.layers import TimeEmbedding
from sdedit_jax.models.resample import depth_to_space, space_to_depth

Output = Literal["noise", "scaled_score"]


class UNet(nn.Module):
    """Abstract U-Net: `net(x, noise_label)` is the noise prediction of the noisy images `x`.

    Fields:
        channels: width of level 0.
        channel_mults: width of each level, in units of `channels`; there are `len(channel_mults)` levels.
        num_res_blocks: residual blocks per level on the way down; one more on the way up.
        attention_levels: the levels with self-attention; the middle of the net always has it.
        dropout: rate inside the residual blocks during training, in [0, 1).
        conditional: whether the net is told the noise level.
        output: what the last convolution means: the noise, or "scaled_score", sigma times the score, which is minus the
            noise (the published VE networks). `__call__` returns the noise in either case.
        patch_size: each patch_size x patch_size patch becomes one pixel inside the net.
        dtype: of the computation; parameters, input and output are float32.
        remat: recompute each block in the backward pass instead of keeping it; less memory for a third more time.
    """

    channels: int = 128
    channel_mults: tuple[int, ...] = (1, 2, 2, 2)
    num_res_blocks: int = 2
    attention_levels: tuple[int, ...] = (1,)
    dropout: float = 0.0
    conditional: bool = True
    output: Output = "noise"
    patch_size: int = 1
    dtype: DTypeLike = jnp.float32
    remat: bool = False

    def __post_init__(self):
        """Refuses fields without a meaning."""
        super().__post_init__()
        require_choice("output", self.output, get_args(Output))
        if not (0 <= self.num_res_blocks <= 64 and 1 <= self.num_levels <= 16 and 1 <= self.channels <= 65536):
            raise ValueError(
                "a network has 1 to 65536 channels, 1 to 16 levels and up to 64 num_res_blocks, got "
                f"{self.channels}, {self.num_levels} and {self.num_res_blocks}."
            )
        if outside := set(self.attention_levels) - set(range(self.num_levels)):
            raise ValueError(f"attention_levels must be in 0 ... {self.num_levels - 1} (0 = finest), got {outside}.")

    @property
    def num_levels(self) -> int:
        """The number of resolution levels."""
        return len(self.channel_mults)

    @property
    def downsampling_factor(self) -> int:
        """What H and W must be multiples of: the size in pixels of one position at the coarsest level."""
        return self.patch_size * 2 ** (self.num_levels - 1)

    def width(self, level: int) -> int:
        """The number of channels of `level`."""
        return self.channels * self.channel_mults[level]

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        """Noise prediction (B, H, W, C), float32.

        `x`: (B, H, W, C), noisy images in [-1, 1] units of the SDE. `noise_label`: (B,), `sde.noise_label(t)`.
        `train` turns on dropout, which then needs the rng 'dropout'.
        """
        self._check_size(x)
        temb = self.embed(noise_label) if self.conditional else None
        patches = space_to_depth(x, self.patch_size)
        skips = self.down(patches, temb, train)
        h = self.middle(skips[-1], temb, train)
        h = self.up(h, skips, temb, train, features=patches.shape[-1])
        h = depth_to_space(h, self.patch_size)
        # Song's checkpoints define score = h / sigma, so h is minus the noise; every network here returns the noise.
        return -h if self.output == "scaled_score" else h

    def embed(self, noise_label: jax.Array) -> jax.Array:
        """(B, 4 channels): the features of `noise_label` that every residual block sees."""
        return TimeEmbedding(self.channels, name="time_embed")(noise_label)

    def down(self, x: jax.Array, temb: jax.Array | None, train: bool) -> list[jax.Array]:
        """All results of the way down from float32 patches `x`, the coarsest last."""
        raise NotImplementedError

    def middle(self, h: jax.Array, temb: jax.Array | None, train: bool) -> jax.Array:
        """Block, attention, block at the coarsest level."""
        h = self.res_block(h.shape[-1], train, name="mid_block_1")(h, temb)
        h = self.attention(name="mid_attn_1")(h)
        return self.res_block(h.shape[-1], train, name="mid_block_2")(h, temb)

    def up(
        self, h: jax.Array, skips: Sequence[jax.Array], temb: jax.Array | None, train: bool, *, features: int
    ) -> jax.Array:
        """The output (B, H, W, features), float32, from the middle of the net and the `skips` of the way down."""
        raise NotImplementedError

    def res_block(self, features: int, train: bool, *, name: str) -> nn.Module:
        """The residual block called `name`, a function of (x, temb)."""
        raise NotImplementedError

    def attention(self, *, name: str) -> nn.Module:
        """The attention block called `name`, a function of x."""
        raise NotImplementedError

    def _check_size(self, x: jax.Array) -> None:
        factor = self.downsampling_factor
        if x.ndim != 4 or x.shape[1] % factor or x.shape[2] % factor:
            raise ValueError(
                f"x must be (B, H, W, C) with H and W multiples of {factor} for this network "
                f"(patch_size {self.patch_size}, {self.num_levels} levels), got {x.shape}."
            )


def require_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises a ValueError that lists `choices` unless `value` is one of them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}.")
