"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946; the Lite form is TensorFlow's of 2020), trained on ImageNet.

It differs from EfficientNet-B0 in two ways: ReLU6 instead of swish, and no squeeze and excitation.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.metrics.networks.layers import NormalizedConv, spatial_mean

# (repeats, kernel, stride of the first, expansion, channels)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD, CLASSES = 32, 1280, 1000


class EfficientNetLite0(nn.Module):
    """(B, H, W, 3) in [0, 255], of any size -> (B, 1280) pooled features, or (B, 1000) logits of ImageNet's classes."""

    @nn.compact
    def __call__(self, x: jax.Array, logits: bool = False) -> jax.Array:
        """Pooled features, or what the classifier makes of them."""
        h = (x - 127.0) / 128.0
        h = jax.nn.relu6(NormalizedConv(STEM, (3, 3), 2, "SAME", name="stem")(h))
        blocks = [(*stage, repeat) for stage in STAGES for repeat in range(stage[0])]
        for index, (_, kernel, stride, expansion, channels, repeat) in enumerate(blocks):
            stride = stride if repeat == 0 else 1
            h = InvertedResidual(channels, kernel, stride, expansion, name=f"block_{index}")(h)
        h = spatial_mean(jax.nn.relu6(NormalizedConv(HEAD, name="head")(h)))
        scores = nn.Dense(CLASSES, name="classifier")(h)
        return scores if logits else h


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; added to the input where the shapes agree."""

    channels: int
    kernel: int
    stride: int
    expansion: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H / stride, W / stride, channels) of (B, H, W, C)."""
        wide = x.shape[-1] * self.expansion
        h = x
        if self.expansion > 1:
            h = jax.nn.relu6(NormalizedConv(wide, name="expand")(h))
        size = (self.kernel, self.kernel)
        h = jax.nn.relu6(NormalizedConv(wide, size, self.stride, "SAME", depthwise=True, name="depthwise")(h))
        h = NormalizedConv(self.channels, name="project")(h)
        return jnp.add(x, h) if x.shape == h.shape else h
