"""Every published network is recognised by the names and shapes of its parameters alone."""

import math
import random
import re

import pytest

from sdedit_jax import build
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.weights.published.architectures import Section, infer
from sdedit_jax.weights.stored import WeightsError
from tests.models.networks import torch_layout
from tests.models.published import CENSUS
from tests.weights.published.checkpoint_files import shapes

GIVEN = {"attention_levels": (1,)}
TINY = {"channels": 8, "channel_mults": (1, 2, 2), "num_res_blocks": 1, "attention_levels": (1,)}
SIMPLE = {"progressive": "none", "progressive_input": "none", "fir": False, "embedding": "positional"}
NETS = {
    "sdedit": DDPM(**TINY),
    "ddpm": DDPM(**TINY, attention_up="once_per_level"),
    "ddpmpp": NCSNpp(**TINY, **SIMPLE),
    "ve 32": NCSNpp(**TINY, progressive="none", progressive_input="residual"),
    "ve 256": NCSNpp(**TINY),
}


def described(section):
    """The network that the fields describe."""
    return build.build_model({"model": section.fields, "preconditioning": {"name": "none"}})


@pytest.mark.parametrize(("net", "image_size", "num_parameters", "num_tensors"), CENSUS.values(), ids=CENSUS.keys())
def test_published_networks(net, image_size, num_parameters, num_tensors):
    """As large as they are said to be, and known by the shapes of that size, of which no array exists."""
    found = shapes(net, torch_layout(net), image_size)
    assert len(found) == num_tensors
    assert sum(math.prod(shape) for shape in found.values()) == num_parameters
    assert described(infer(found, torch_layout(net), {})) == net.clone(output="noise")
    if torch_layout(net) == "score_sde":
        section = infer(shapes(net, "score_sde_flax", image_size), "score_sde_flax", {})
        assert described(section) == net.clone(output="noise")
        assert f"{net.attention_levels}" in section.assumed["attention_levels"]


@pytest.mark.parametrize(
    "net",
    [
        DDPM(8, (1, 2), 1, ()),
        DDPM(8, (1, 2, 2), 1, (0, 2), attention_up="once_per_level"),
        NCSNpp(8, (1, 1, 2), 3, (0, 2), progressive="none", progressive_input="residual", fir=False),
        NCSNpp(8, (1,), 1, (0,), progressive="none", progressive_input="none", fir=False),
        NCSNpp(8, (2, 1), 2, ()),
        NETS["sdedit"].clone(conditional=False),
        NETS["ddpm"].clone(conditional=False),
        NETS["ddpmpp"].clone(conditional=False),
    ],
    ids=lambda net: f"{type(net).__name__}{net.channel_mults}",
)
def test_networks_that_nobody_published(net):
    assert described(infer(shapes(net, torch_layout(net)), torch_layout(net), {})) == net
    if torch_layout(net) == "score_sde":
        section = infer(shapes(net, "score_sde_flax"), "score_sde_flax", {"attention_levels": net.attention_levels})
        assert described(section) == net and "attention_levels" not in section.assumed


def test_what_leaves_no_trace_is_said():
    said = {key: infer(shapes(NETS[key], "score_sde"), "score_sde", {}).assumed for key in NETS if key != "sdedit"}
    assert set(said["ve 256"]) == {"skip_rescale", "fir", "dropout"} and "fir is true" in said["ve 256"]["fir"]
    assert "fir is false" in said["ddpmpp"]["fir"]
    assert set(said["ve 32"]) == {"skip_rescale", "dropout"}  # its Downsample shows the filter
    assert set(said["ddpm"]) == {"dropout"}


def test_what_is_given_is_not_assumed():
    found = infer(shapes(NETS["ve 256"], "score_sde"), "score_sde", {"fir": False, "dropout": 0.1})
    assert found.fields["fir"] is False and found.fields["dropout"] == 0.1
    assert set(found.assumed) == {"skip_rescale"}
    assert Section({"a": 1}, {"a": "why"}).given({"a": 2, "b": 3}) == Section({"a": 2, "b": 3})


def test_attention_of_flax_that_widths_leave_open():
    with pytest.raises(WeightsError, match=r"which 1 of the levels \[1, 2\] .* model=\{'attention_levels': \(2,\)\}"):
        infer(shapes(NETS["ve 256"], "score_sde_flax"), "score_sde_flax", {})
    net = NCSNpp(8, (1, 2, 4), 1, (2,))
    section = infer(shapes(net, "score_sde_flax"), "score_sde_flax", {})
    assert described(section) == net and "attention_levels" not in section.assumed


def without(found, part):
    return {name: shape for name, shape in found.items() if part not in name}


@pytest.mark.parametrize(
    ("key", "layout", "part", "reason"),
    [
        ("sdedit", "pytorch_diffusion", "conv_in.bias", "conv_in.bias of the network is missing"),
        (
            "sdedit",
            "pytorch_diffusion",
            "down.1.block.0.conv1",
            "down.1.block.0.conv1.bias of the network is missing",
        ),
        ("ve 256", "score_sde", "GroupNorm_1", "no first convolution, residual blocks or attention"),
        ("ve 256", "score_sde", ".5.GroupNorm_0.bias", r"GroupNorm_0.bias of all_modules\.5"),
        (
            "ve 256",
            "score_sde_flax",
            "BigGANpp_0/GroupNorm_1",
            "GroupNorm_1.bias of ResnetBlockBigGANpp_0 is missing",
        ),
        ("ve 256", "score_sde_flax", "AttnBlock", "no first convolution, residual blocks or attention"),
        ("ve 256", "score_sde", ".", "no first convolution, residual blocks or attention"),
    ],
)
def test_networks_in_pieces_are_refused(key, layout, part, reason):
    found = without(shapes(NETS[key], layout), part)
    with pytest.raises(WeightsError, match=reason):
        infer(found, layout, GIVEN)


def test_too_few_blocks():
    found = shapes(NETS["ddpm"], "score_sde_flax")
    few = {name: shape for name, shape in found.items() if not re.match(r"ResnetBlockDDPM_[1-9]", name)}
    with pytest.raises(WeightsError, match="1 residual blocks do not make a network of 3 levels"):
        infer(few, "score_sde_flax", GIVEN)


@pytest.mark.parametrize("key", NETS)
def test_mutations_never_surprise(key):
    """Names and shapes of anything: fields of config.model, or a WeightsError."""
    rng = random.Random(0)
    layout = "score_sde_flax" if key == "ve 32" else torch_layout(NETS[key])
    found = shapes(NETS[key], layout)
    refused = 0
    for _ in range(200):
        kept = {name: shape for name, shape in found.items() if rng.random() > 0.01}
        changed = {name: rng.choice([(), (0,), (1,), (7, 7), (7,)]) for name in rng.sample(sorted(kept), 3)}
        renamed = {re.sub(r"\d", lambda _: str(rng.randrange(10)), name): (3,) for name in rng.sample(sorted(kept), 3)}
        try:
            assert infer(kept | changed | renamed, layout, {}).fields["channels"] > 0
        except WeightsError:
            refused += 1
    assert 0 < refused < 200
