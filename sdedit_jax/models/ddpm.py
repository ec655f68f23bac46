"""The U-Net of Ho et al. 2020, appendix B (arXiv:2006.11239), in its two published variants.

They differ in one place. The original (and SDEdit's networks) has attention after every block on the way up,
`attention_up="every_block"`; that of Song et al. 2021 has it once, behind the last block of the level,
`attention_up="once_per_level"`, and so fewer parameters. The weights of one do not fit the other.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.models.convolution import Conv
from sdedit_jax.models.layers import AttentionBlock, Downsample, Head, ResBlock, Upsample
from sdedit_jax.models.unet import UNet, require_choice

AttentionUp = Literal["every_block", "once_per_level"]


class DDPM(UNet):
    """DDPM's U-Net; `net(x, noise_label)` is the noise prediction. The fields common to all nets are those of `UNet`.

    Fields:
        attention_up: attention after "every_block" on the way up (Ho et al.) or "once_per_level" (Song et al.).
    """

    attention_up: AttentionUp = "every_block"

    def __post_init__(self):
        """Refuses fields without a meaning."""
        super().__post_init__()
        require_choice("attention_up", self.attention_up, get_args(AttentionUp))

    def down(self, x: jax.Array, temb: jax.Array | None, train: bool) -> list[jax.Array]:
        """All results of the way down, the coarsest last."""
        # In float32: the least noise, 0.02, has the size of a rounding of the picture to bfloat16.
        skips = [Conv(self.channels, name="conv_in")(x).astype(self.dtype)]
        for level in range(self.num_levels):
            for j in range(self.num_res_blocks):
                h = self.res_block(self.width(level), train, name=f"down_{level}_block_{j}")(skips[-1], temb)
                if level in self.attention_levels:
                    h = self.attention(name=f"down_{level}_attn_{j}")(h)
                skips.append(h)
            if level < self.num_levels - 1:
                skips.append(
                    Downsample(self.width(level), dtype=self.dtype, name=f"down_{level}_downsample")(skips[-1])
                )
        return skips

    def up(
        self, h: jax.Array, skips: Sequence[jax.Array], temb: jax.Array | None, train: bool, *, features: int
    ) -> jax.Array:
        """The output (B, H, W, features), float32, from the middle of the net and the `skips` of the way down."""
        skips = list(skips)
        for level in reversed(range(self.num_levels)):
            for j in range(self.num_res_blocks + 1):
                h = jnp.concatenate([h, skips.pop()], axis=-1)
                h = self.res_block(self.width(level), train, name=f"up_{level}_block_{j}")(h, temb)
                if level in self.attention_levels and self.attention_up == "every_block":
                    h = self.attention(name=f"up_{level}_attn_{j}")(h)
            if level in self.attention_levels and self.attention_up == "once_per_level":
                h = self.attention(name=f"up_{level}_attn_0")(h)
            if level > 0:
                h = Upsample(self.width(level), dtype=self.dtype, name=f"up_{level}_upsample")(h)
        return Head(features, name="head")(h)

    def res_block(self, features: int, train: bool, *, name: str) -> nn.Module:
        """The residual block called `name`, a function of (x, temb)."""
        dropout = self.dropout if train else 0.0
        block = nn.remat(ResBlock) if self.remat else ResBlock
        return block(features, dropout=dropout, shortcut_init_scale=0.1, dtype=self.dtype, name=name)

    def attention(self, *, name: str) -> nn.Module:
        """The attention block called `name`, a function of x."""
        return (nn.remat(AttentionBlock) if self.remat else AttentionBlock)(dtype=self.dtype, name=name)
