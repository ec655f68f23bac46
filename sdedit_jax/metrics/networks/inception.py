"""The InceptionV3 of FID (Szegedy et al. 2015, arXiv:1512.00567), in the form that TensorFlow published in 2015.

It differs from the one in textbooks: its average pools do not count the padding, its last block pools by maximum, and
it knows 1008 classes. Modules are named as in the published torch file of pytorch-fid and torch-fidelity.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.metrics.networks.layers import NormalizedConv, spatial_mean

IMAGE_SIZE = 299
FEATURES, CLASSES = 2048, 1008


class InceptionV3(nn.Module):
    """(B, 299, 299, 3) in [0, 255] -> (B, 2048) features of the last pooling."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The features; the classifier's parameters exist, but FID and KID do not use it."""
        h = (x - 128.0) / 128.0
        h = _conv("Conv2d_1a_3x3", 32, (3, 3), h, stride=2, pad=False)
        h = _conv("Conv2d_2a_3x3", 32, (3, 3), h, pad=False)
        h = nn.max_pool(_conv("Conv2d_2b_3x3", 64, (3, 3), h), (3, 3), (2, 2))
        h = _conv("Conv2d_3b_1x1", 80, (1, 1), h)
        h = nn.max_pool(_conv("Conv2d_4a_3x3", 192, (3, 3), h, pad=False), (3, 3), (2, 2))
        for name, channels in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            h = Block35(channels, name=name)(h)
        h = Reduction35(name="Mixed_6a")(h)
        for name, channels in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            h = Block17(channels, name=name)(h)
        h = Reduction17(name="Mixed_7a")(h)
        h = Block8("average", name="Mixed_7b")(h)
        features = spatial_mean(Block8("maximum", name="Mixed_7c")(h))
        nn.Dense(CLASSES, name="fc")(features)  # XLA leaves out what is not used
        return features


class Block35(nn.Module):
    """On 35 x 35: 1 x 1, 5 x 5, twice 3 x 3, and a pool with `pool_channels`."""

    pool_channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h, w, 224 + pool_channels)."""
        one = _conv("branch1x1", 64, (1, 1), x)
        five = _conv("branch5x5_2", 64, (5, 5), _conv("branch5x5_1", 48, (1, 1), x))
        three = _conv("branch3x3dbl_2", 96, (3, 3), _conv("branch3x3dbl_1", 64, (1, 1), x))
        three = _conv("branch3x3dbl_3", 96, (3, 3), three)
        pool = _conv("branch_pool", self.pool_channels, (1, 1), _average_pool(x))
        return jnp.concatenate([one, five, three, pool], axis=-1)


class Reduction35(nn.Module):
    """35 x 35 -> 17 x 17."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h', w', 480 + C)."""
        three = _conv("branch3x3", 384, (3, 3), x, stride=2, pad=False)
        double = _conv("branch3x3dbl_2", 96, (3, 3), _conv("branch3x3dbl_1", 64, (1, 1), x))
        double = _conv("branch3x3dbl_3", 96, (3, 3), double, stride=2, pad=False)
        return jnp.concatenate([three, double, nn.max_pool(x, (3, 3), (2, 2))], axis=-1)


class Block17(nn.Module):
    """On 17 x 17: 7 x 7 as 1 x 7 and 7 x 1, once and twice, with `channels` in between."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h, w, 768)."""
        c = self.channels
        seven = _conv("branch7x7_2", c, (1, 7), _conv("branch7x7_1", c, (1, 1), x))
        seven = _conv("branch7x7_3", 192, (7, 1), seven)
        double = _conv("branch7x7dbl_2", c, (7, 1), _conv("branch7x7dbl_1", c, (1, 1), x))
        double = _conv("branch7x7dbl_4", c, (7, 1), _conv("branch7x7dbl_3", c, (1, 7), double))
        double = _conv("branch7x7dbl_5", 192, (1, 7), double)
        pool = _conv("branch_pool", 192, (1, 1), _average_pool(x))
        return jnp.concatenate([_conv("branch1x1", 192, (1, 1), x), seven, double, pool], axis=-1)


class Reduction17(nn.Module):
    """17 x 17 -> 8 x 8."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h', w', 512 + C)."""
        three = _conv("branch3x3_1", 192, (1, 1), x)
        three = _conv("branch3x3_2", 320, (3, 3), three, stride=2, pad=False)
        seven = _conv("branch7x7x3_2", 192, (1, 7), _conv("branch7x7x3_1", 192, (1, 1), x))
        seven = _conv("branch7x7x3_3", 192, (7, 1), seven)
        seven = _conv("branch7x7x3_4", 192, (3, 3), seven, stride=2, pad=False)
        return jnp.concatenate([three, seven, nn.max_pool(x, (3, 3), (2, 2))], axis=-1)


class Block8(nn.Module):
    """On 8 x 8: branches that fork into 1 x 3 and 3 x 1; `pool` is ``average`` or ``maximum``."""

    pool: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, h, w, 2048)."""
        three = self._fork("branch3x3_2", _conv("branch3x3_1", 384, (1, 1), x))
        double = _conv("branch3x3dbl_2", 384, (3, 3), _conv("branch3x3dbl_1", 448, (1, 1), x))
        double = self._fork("branch3x3dbl_3", double)
        pooled = _average_pool(x) if self.pool == "average" else nn.max_pool(x, (3, 3), (1, 1), "SAME")
        pooled = _conv("branch_pool", 192, (1, 1), pooled)
        return jnp.concatenate([_conv("branch1x1", 320, (1, 1), x), *three, *double, pooled], axis=-1)

    def _fork(self, name: str, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return _conv(f"{name}a", 384, (1, 3), x), _conv(f"{name}b", 384, (3, 1), x)


def _conv(
    name: str, features: int, kernel_size: tuple[int, int], x: jax.Array, stride: int = 1, pad: bool = True
) -> jax.Array:
    padding = "SAME" if pad else "VALID"
    return jax.nn.relu(NormalizedConv(features, kernel_size, stride, padding, name=name)(x))


def _average_pool(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
