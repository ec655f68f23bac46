"""A model file small enough to edit with at once, and the pictures to edit."""

from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from sdedit_jax import build, cli

ROOT = Path(__file__).parents[2]
SIZE = 16


class Tiny(nn.Module):
    """A network that compiles in a moment; the tests' `config.model.name` is tiny."""

    channels: int = 4
    downsampling_factor: int = 2

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        assert x.shape[1] % self.downsampling_factor == x.shape[2] % self.downsampling_factor == 0
        label = jnp.log(noise_label)[:, None]
        h = nn.silu(nn.Conv(self.channels, (3, 3))(x) + nn.Dense(self.channels)(label)[:, None, None, :])
        return nn.Conv(3, (3, 3))(h)


MODEL = {
    "model": {"name": "tiny"},
    "preconditioning": {"name": "edm", "sigma_data": 0.5},
    "sde": {"name": "ve", "sigma_min": 0.02, "sigma_max": 10.0},
    "data": {"image_size": SIZE},
}
DDPM = {"name": "ddpm", "channels": 8, "channel_mults": (1,), "num_res_blocks": 1, "attention_levels": ()}


def random_params(description=MODEL):
    """Parameters of the model of a config."""
    shapes = build.param_shapes(build.build_model(description), SIZE)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.normal(0, 0.2, leaf.shape).astype(np.float32), shapes)


def pixels(height=SIZE, width=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write_guide(path, height=SIZE, width=SIZE, seed=0):
    """A picture file of random pixels, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(height, width, seed)).save(path)
    return path


def write_mask(path, mask):
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)
    return path


def read(path):
    return np.asarray(Image.open(path))


def corner(height=SIZE, width=SIZE):
    """(H, W) bool, true in one corner."""
    mask = np.zeros((height, width), bool)
    mask[: height // 2, : width // 2] = True
    return mask


def run_edit(config, out, **settings):
    """`cli.edit` with other settings, of which paths may be `Path`s; `config` itself stays as it is."""
    config = ConfigDict(config.to_dict())
    for name, value in settings.items():
        config.editing[name] = str(value) if isinstance(value, Path) else value
    cli.edit(config, out)


def names(folder):
    return sorted(path.name for path in folder.iterdir())
