"""AlexNet (Krizhevsky et al. 2012) and VGG16 (Simonyan and Zisserman 2015, arXiv:1409.1556) without their classifiers.

Both see what torchvision's do: [0, 1] pixels, less the mean of ImageNet's, over their standard deviation.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

# ImageNet's mean and standard deviation in [-1, 1] units, with the three digits of LPIPS.
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)
VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def standardize(x: jax.Array) -> jax.Array:
    """(B, H, W, 3) in [-1, 1] -> what the trunks take."""
    return (x - SHIFT.reshape(1, 1, 1, 3)) / SCALE.reshape(1, 1, 1, 3)


class AlexNet(nn.Module):
    """The outputs of its five convolutions, after ReLU."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """Five arrays (B, h, w, C), C = 64, 192, 384, 256, 256, of standardized pictures, at least 31 pixels wide."""
        h1 = _convolution(0, 64, 11, x, stride=4, padding=2)
        h2 = _convolution(1, 192, 5, nn.max_pool(h1, (3, 3), (2, 2)))
        h3 = _convolution(2, 384, 3, nn.max_pool(h2, (3, 3), (2, 2)))
        h4 = _convolution(3, 256, 3, h3)
        return [h1, h2, h3, h4, _convolution(4, 256, 3, h4)]


class VGG16(nn.Module):
    """The outputs of its five stages, after ReLU and before pooling: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        """Five arrays (B, h, w, C), C = 64, 128, 256, 512, 512, of standardized pictures, at least 16 pixels wide."""
        outputs = []
        h, index = x, 0
        for channels, depth in VGG_STAGES:
            h = nn.max_pool(h, (2, 2), (2, 2)) if outputs else h
            for _ in range(depth):
                h = _convolution(index, channels, 3, h)
                index += 1
            outputs.append(h)
        return outputs


def _convolution(index: int, channels: int, kernel: int, x: jax.Array, stride: int = 1, padding: int | None = None):
    sides = kernel // 2 if padding is None else padding
    return jnp.maximum(nn.Conv(channels, (kernel, kernel), stride, sides, name=f"Conv_{index}")(x), 0.0)
