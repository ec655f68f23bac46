"""Small networks of every kind that diffusers has, and folders of it to read."""

import functools
import json

import numpy as np
from safetensors.numpy import load_file, save_file

from sdedit_jax import trees
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.sdes import VESDE, DiscreteVPSDE
from sdedit_jax.weights import diffusers
from tests.models.networks import random_params

FAMILIES = {
    "ddpm": (DDPM(32, (1, 2), 1, (1,)), DiscreteVPSDE()),
    "ncsnpp": (NCSNpp(32, (1, 4), 1, (1,), output="scaled_score"), VESDE(0.02, 756.0)),
    "ncsnpp_vp": (NCSNpp(32, (1, 4), 1, (1,), embedding="positional"), DiscreteVPSDE(2e-4, 0.03, 500)),
}


@functools.cache
def params(name):
    return random_params(FAMILIES[name][0])["params"]


def write(folder, names=tuple(FAMILIES)):
    """{name: a folder that we wrote}."""
    for name in names:
        model, sde = FAMILIES[name]
        diffusers.write(folder / name, model, sde, params(name), 8)
    return {name: folder / name for name in names}


def copied(source, target, *, change=None, leave=(), **fields):
    """A copy of the folder `source` without the files `leave`; `fields` of config.json and its tensors are changed."""
    target.mkdir(exist_ok=True)
    for path in source.iterdir():
        if path.suffix == ".json" and path.name not in leave:
            config = json.loads(path.read_text()) | (fields if path.name == "config.json" else {})
            (target / path.name).write_text(json.dumps(config))
    tensors = load_file(source / "diffusion_pytorch_model.safetensors")
    if change:
        tensors = change(tensors)
    save_file(tensors, target / "diffusion_pytorch_model.safetensors")
    return target


def assert_same(found, wanted):
    found, wanted = trees.flatten(found), trees.flatten(wanted)
    assert set(found) == set(wanted)
    for name in found:
        np.testing.assert_array_equal(found[name], wanted[name], err_msg=name)
