"""Pictures -> features that know which network they come from, and the files in which those of a data set are kept."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors import SafetensorError, safe_open

from sdedit_jax import disk
from sdedit_jax.metrics.checks import MetricError, as_bytes

TENSOR = "features"
DESCRIPTION = "sdedit_jax.metrics"


class FeatureNetwork(Protocol):
    """A network that describes a picture in `size` numbers."""

    @property
    def name(self) -> str:
        """As it stands in the names of results: ``EfficientNet-Lite0``."""
        ...

    @property
    def resize(self) -> str:
        """The size that the network sees and how pictures of other sizes come to it: ``64 px``."""
        ...

    @property
    def size(self) -> int:
        """The number of features, D."""
        ...

    @property
    def pretrained(self) -> bool:
        """Whether the weights are the published ones; only then a metric may be named after them."""
        ...

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(B, D) float32 features of uint8 pictures (B, H, W, 3), each of which depends on its picture alone."""
        ...


@dataclasses.dataclass(frozen=True)
class Features:
    """What a network says of a set of pictures, one row for each."""

    values: np.ndarray
    """(N, D) float32."""
    network: str
    resize: str
    pretrained: bool
    fingerprint: str
    """Of the pictures, in their order: `fingerprint`."""


def extract_features(network: FeatureNetwork, batches: Iterable[np.ndarray]) -> Features:
    """The features of all pictures in `batches`, (B, H, W, 3) bytes or float pixels in [-1, 1] (rounded to bytes).

    The first batch sets the size of all, for a network is compiled for it: a shorter one is filled up and cut again.
    Raises MetricError for what is no picture, and if there is none.
    """
    digest = hashlib.sha256()
    rows = []
    batch_size = 0
    for images in _noted(batches, digest):
        batch_size = batch_size or len(images)
        for start in range(0, len(images), batch_size):
            rows.append(_in_full_batch(network, images[start : start + batch_size], batch_size))
    if not rows:
        raise MetricError("There are no pictures to measure.")
    values = np.concatenate(rows)
    return Features(values, network.name, network.resize, network.pretrained, digest.hexdigest())


def fingerprint(batches: Iterable[np.ndarray]) -> str:
    """SHA-256, in hexadecimal, of the pictures as bytes with their sizes; how they are batched plays no part."""
    digest = hashlib.sha256()
    for _ in _noted(batches, digest):
        pass
    return digest.hexdigest()


def cached_features(
    path: str | os.PathLike[str], network: FeatureNetwork, batches: Callable[[], Iterable[np.ndarray]]
) -> Features:
    """The features of `batches()`, from the file at `path` or else computed and written there, whole or not at all.

    The pictures are read anyhow, to hold their fingerprint against that of the file: reading is cheap, a network not.
    Raises MetricError for a file that is damaged, or of another network, resize or set of pictures.
    """
    path = Path(path)
    if not path.exists():
        features = extract_features(network, batches())
        save_features(path, features)
        return features
    features = load_features(path)
    wanted = (network.name, network.resize, network.pretrained, fingerprint(batches()))
    found = (features.network, features.resize, features.pretrained, features.fingerprint)
    for what, want, got in zip(("network", "resize", "pretrained", "pictures"), wanted, found, strict=True):
        if want != got:
            raise MetricError(f"{path} has features of another {what}: {got}, not {want}. Delete it or name another.")
    return features


def save_features(path: str | os.PathLike[str], features: Features) -> None:
    """Writes one safetensors file whose metadata names network, resize, count and both fingerprints."""
    values = np.ascontiguousarray(features.values, np.float32)
    description = {
        "network": features.network,
        "resize": features.resize,
        "pretrained": features.pretrained,
        "fingerprint": features.fingerprint,
        "count": len(values),
        "values": hashlib.sha256(values.tobytes()).hexdigest(),
    }
    disk.write_tensors(Path(path), {TENSOR: values}, {DESCRIPTION: json.dumps(description)})


def load_features(path: str | os.PathLike[str]) -> Features:
    """What `save_features` wrote. Raises MetricError for a file that is missing, damaged, or something else."""
    try:
        with safe_open(path, framework="np") as file:
            description = json.loads((file.metadata() or {})[DESCRIPTION])
            values = file.get_tensor(TENSOR)
        count, digest = description.pop("count"), description.pop("values")
        features = Features(values, **description)
    except FileNotFoundError as error:
        raise MetricError(f"There is no file {path}.") from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise MetricError(f"{path} is damaged, or holds no features of this program ({error!s:.100}).") from error
    if len(values) != count or hashlib.sha256(values.tobytes()).hexdigest() != digest:
        raise MetricError(f"{path} is damaged: its features are not those that were written. Delete it.")
    return features


def _noted(batches: Iterable[np.ndarray], digest: "hashlib._Hash") -> Iterator[np.ndarray]:
    """The batches as bytes; each picture goes into `digest` when its batch is asked for."""
    for batch in batches:
        images = as_bytes(np.asarray(batch))
        for image in images:
            digest.update(str(image.shape).encode())
            digest.update(image.tobytes())
        yield images


def _in_full_batch(network: FeatureNetwork, images: np.ndarray, batch_size: int) -> np.ndarray:
    filler = np.repeat(images[-1:], batch_size - len(images), axis=0)
    values = network(np.concatenate([images, filler]))[: len(images)]
    if values.shape != (len(images), network.size):
        raise MetricError(f"{network.name} gave features of shape {values.shape}, not {(len(images), network.size)}.")
    return values
