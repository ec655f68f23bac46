"""A GAN as one ``.safetensors`` file: generator and encoder, and their sizes as JSON in its metadata."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.baselines.gan.inversion import GAN
from sdedit_jax.baselines.gan.networks import Encoder, Generator
from sdedit_jax.weights import native
from sdedit_jax.weights.files import safetensors_file
from sdedit_jax.weights.stored import ParamDtype, WeightsError, check_shapes, read_params

LANDSCAPES = Path(__file__).parents[2] / "assets" / "baselines" / "landscapes_gan.safetensors"


def save(path: str | os.PathLike[str], params: dict[str, Any], gan: GAN, *, dtype: ParamDtype = "float16") -> None:
    """Writes `params` (``generator`` and ``encoder``) and what `gan` is made of to `path`, whole or not at all."""
    networks = {"generator": _fields(gan.generator), "encoder": _fields(gan.encoder)}
    native.save(path, params, {"gan": networks}, dtype=dtype)


def load(path: str | os.PathLike[str] = LANDSCAPES) -> tuple[dict[str, Any], GAN]:
    """The params, float32, and the networks in the file at `path`, by default the bundled one of landscapes.

    Raises WeightsError for a file that is missing or damaged, and for one that holds something else.
    """
    source = native.source(Path(path), *safetensors_file.read(path))
    try:
        networks = source.config["gan"]
        gan = GAN(Generator(**networks["generator"]), Encoder(**networks["encoder"]))
    except (KeyError, TypeError) as error:
        raise WeightsError(f"{path} does not hold a generator and an encoder: its config lacks {error}.") from error
    check_shapes(source.tensors, jax.eval_shape(lambda: init_params(jax.random.key(0), gan)))
    return read_params(source.tensors), gan


def init_params(key: jax.Array, gan: GAN) -> dict[str, Any]:
    """Params of both networks before training."""
    key_generator, key_encoder = jax.random.split(key)
    size = gan.generator.image_size
    return {
        "generator": gan.generator.init(key_generator, jnp.zeros((1, gan.generator.w_dim)))["params"],
        "encoder": gan.encoder.init(key_encoder, jnp.zeros((1, size, size, 3)))["params"],
    }


def _fields(network: nn.Module) -> dict[str, Any]:
    """What the network was made with; its place in a larger one aside."""
    names = [field.name for field in dataclasses.fields(network) if field.name not in ("parent", "name")]
    return {name: getattr(network, name) for name in names}
