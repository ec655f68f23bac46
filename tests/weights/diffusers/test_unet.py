"""The config.json of a `UNet2DModel`: which networks it can mean, by which names, and which it cannot."""

import re

import jax
import numpy as np
import pytest

from sdedit_jax import build
from sdedit_jax.models import DDPM, EDMPreconditioned, NCSNpp
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE
from sdedit_jax.weights import WeightsError, diffusers
from sdedit_jax.weights.diffusers.names import diffusers_name
from sdedit_jax.weights.diffusers.unet import UNET_DEFAULTS, model_section, require_equal, unet_config
from tests.models.networks import param_shapes

# The configs of the networks of google/* on the Hugging Face hub, without what none of them sets.
DDPM_256 = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.1.1",
    "act_fn": "silu",
    "attention_head_dim": None,
    "block_out_channels": [128, 128, 256, 256, 512, 512],
    "center_input_sample": False,
    "down_block_types": [*["DownBlock2D"] * 4, "AttnDownBlock2D", "DownBlock2D"],
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-06,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 256,
    "time_embedding_type": "positional",
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D", *["UpBlock2D"] * 4],
}
DDPM_32 = DDPM_256 | {
    "block_out_channels": [128, 256, 256, 256],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "sample_size": 32,
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
}
NCSNPP_256 = DDPM_256 | {
    "block_out_channels": [128, 128, 256, 256, 256, 256, 256],
    "center_input_sample": True,
    "down_block_types": [*["SkipDownBlock2D"] * 4, "AttnSkipDownBlock2D", *["SkipDownBlock2D"] * 2],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_scale_factor": 1.41421356237,
    "norm_num_groups": None,
    "time_embedding_type": "fourier",
    "up_block_types": [*["SkipUpBlock2D"] * 2, "AttnSkipUpBlock2D", *["SkipUpBlock2D"] * 4],
}
NCSNPP_1024 = NCSNPP_256 | {
    "block_out_channels": [16, 32, 64, 128, 256, 512, 512, 512],
    "down_block_types": [*["SkipDownBlock2D"] * 6, "AttnSkipDownBlock2D", "SkipDownBlock2D"],
    "layers_per_block": 1,
    "sample_size": 1024,
    "up_block_types": ["SkipUpBlock2D", "AttnSkipUpBlock2D", *["SkipUpBlock2D"] * 6],
}
SMALL_DDPM = DDPM_256 | {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "sample_size": 8,
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
}
SMALL_NCSNPP = NCSNPP_256 | {
    "block_out_channels": [32, 128],
    "down_block_types": ["SkipDownBlock2D", "AttnSkipDownBlock2D"],
    "sample_size": 8,
    "up_block_types": ["AttnSkipUpBlock2D", "SkipUpBlock2D"],
}
PUBLISHED = {
    "ddpm_256": (DDPM_256, DDPM(128, (1, 1, 2, 2, 4, 4), 2, (4,))),
    "ddpm_32": (DDPM_32, DDPM(128, (1, 2, 2, 2), 2, (1,))),
    "ncsnpp_256": (NCSNPP_256, NCSNpp(128, (1, 1, 2, 2, 2, 2, 2), 2, (4,), output="scaled_score")),
    "ncsnpp_1024": (NCSNPP_1024, NCSNpp(16, (1, 2, 4, 8, 16, 32, 32, 32), 1, (6,), output="scaled_score")),
}


def shapes_of(model):
    return {
        path: jax.ShapeDtypeStruct(shape, np.float32)
        for path, shape in param_shapes(model, model.downsampling_factor).items()
    }


def model_of(unet):
    """The network that a config.json means, if it means one."""
    unet = {**UNET_DEFAULTS, **unet}
    fields = model_section(unet)
    model = build.build_model({"model": fields, "preconditioning": {"name": "none"}})
    require_equal(unet, model, shapes_of(model))
    return model


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs_are_the_published_networks(name):
    unet, net = PUBLISHED[name]
    fields = model_section({**UNET_DEFAULTS, **unet})
    assert build.build_model({"model": fields, "preconditioning": {"name": "none"}}) == net


@pytest.mark.parametrize("name", ["ddpm_32", "ncsnpp_1024"])  # the others are of the same kinds
def test_published_networks_are_written_as_published(name):
    unet, net = PUBLISHED[name]
    assert model_of(unet) == net
    config = unet_config(net, shapes_of(net))
    different = {field for field in unet if config.get(field) != unet[field]}
    # The published square root of 2 is rounded.
    assert different - {"mid_block_scale_factor"} == {"_diffusers_version", "sample_size"}
    names = [diffusers_name(path, net.num_levels) for path in shapes_of(net)]
    assert len(set(names)) == len(names) and not any("/" in name for name in names)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("time_embed/frequencies", "time_proj.weight"),
        ("time_embed/dense_0/kernel", "time_embedding.linear_1.weight"),
        ("conv_in/bias", "conv_in.bias"),
        ("down_1_block_0/norm1/scale", "down_blocks.1.resnets.0.norm1.weight"),
        ("down_1_block_0/temb_proj/kernel", "down_blocks.1.resnets.0.time_emb_proj.weight"),
        ("down_1_attn_0/norm/bias", "down_blocks.1.attentions.0.group_norm.bias"),
        ("down_0_downsample/conv/kernel", "down_blocks.0.downsamplers.0.conv.weight"),
        ("down_0_downsample/shortcut/kernel", "down_blocks.0.resnet_down.conv_shortcut.weight"),
        ("down_0_pyramid/kernel", "down_blocks.0.skip_conv.weight"),
        ("mid_block_2/conv2/kernel", "mid_block.resnets.1.conv2.weight"),
        ("mid_attn_1/q/kernel", "mid_block.attentions.0.to_q.weight"),
        ("up_3_attn_2/proj_out/bias", "up_blocks.0.attentions.2.to_out.0.bias"),
        ("up_1_upsample/conv/bias", "up_blocks.2.upsamplers.0.conv.bias"),
        ("up_1_upsample/conv1/bias", "up_blocks.2.resnet_up.conv1.bias"),
        ("up_1_pyramid/norm/scale", "up_blocks.2.skip_norm.weight"),
        ("up_1_pyramid/conv/kernel", "up_blocks.2.skip_conv.weight"),
        ("up_0_pyramid/norm/scale", "conv_norm_out.weight"),
        ("up_0_pyramid/conv/kernel", "conv_out.weight"),
        ("head/norm/bias", "conv_norm_out.bias"),
        ("head/conv/bias", "conv_out.bias"),
    ],
)
def test_names_in_a_network_of_four_levels(path, name):
    assert diffusers_name(path, 4) == name


@pytest.mark.parametrize(
    ("unet", "field", "value", "supported"),
    [
        (SMALL_DDPM, "act_fn", "gelu", "'silu'"),
        (SMALL_DDPM, "in_channels", 4, "3"),
        (SMALL_DDPM, "out_channels", 6, "3"),
        (SMALL_DDPM, "norm_eps", 1e-5, "1e-06"),
        (SMALL_DDPM, "attention_head_dim", 8, "None"),
        (SMALL_DDPM, "freq_shift", 0, "1"),
        (SMALL_DDPM, "flip_sin_to_cos", True, "False"),
        (SMALL_DDPM, "downsample_padding", 1, "0"),
        (SMALL_DDPM, "center_input_sample", True, "False"),
        (SMALL_DDPM, "time_embedding_type", "fourier", "'positional'"),
        (SMALL_DDPM, "norm_num_groups", 16, "32"),
        (SMALL_DDPM, "mid_block_scale_factor", 2.0**0.5, "1"),
        (SMALL_DDPM, "resnet_time_scale_shift", "scale_shift", "'default'"),
        (SMALL_DDPM, "add_attention", False, "True"),
        (SMALL_DDPM, "num_class_embeds", 10, "None"),
        (SMALL_DDPM, "class_embed_type", "timestep", "None"),
        (SMALL_DDPM, "downsample_type", "resnet", "'conv'"),
        (SMALL_DDPM, "up_block_types", ["UpBlock2D", "AttnUpBlock2D"], r"\['AttnUpBlock2D', 'Up"),
        (SMALL_NCSNPP, "mid_block_scale_factor", 1, "1.414"),
        (SMALL_NCSNPP, "center_input_sample", False, "True"),
        (SMALL_NCSNPP, "norm_num_groups", 16, "None"),
        (SMALL_NCSNPP, "time_embedding_type", "learned", "'positional'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_network_that_we_do_not_have_is_refused(unet, field, value, supported):
    with pytest.raises(WeightsError, match=rf"{field} is {re.escape(repr(value))}, and supported is {supported}"):
        model_of(unet | {field: value})


@pytest.mark.parametrize(
    "field", ["freq_shift", "flip_sin_to_cos", "downsample_padding", "norm_eps", "attention_head_dim"]
)
def test_a_field_that_is_left_out_is_as_in_the_library(field):
    """The library's defaults are not what the published networks have."""
    with pytest.raises(WeightsError, match=f"{field} is {UNET_DEFAULTS[field]}, and supported"):
        model_of({name: value for name, value in SMALL_DDPM.items() if name != field})


@pytest.mark.parametrize(
    ("unet", "fields"),
    [
        (SMALL_DDPM, {"act_fn": "swish"}),
        (SMALL_DDPM, {"attention_head_dim": 64}),
        (SMALL_DDPM, {"time_embedding_dim": 128}),
        (SMALL_DDPM, {"sample_size": [32, 32]}),
        (SMALL_DDPM, {"num_train_timesteps": 1000}),
        (SMALL_NCSNPP, {"freq_shift": 1, "flip_sin_to_cos": False, "downsample_padding": 0}),
        (SMALL_NCSNPP, {"attention_head_dim": 128, "mid_block_scale_factor": 2.0**0.5}),
    ],
    ids=lambda value: "" if "act_fn" in value and len(value) > 1 else str(value),
)
def test_the_same_said_otherwise(unet, fields):
    assert model_of(unet | fields) == model_of(unet)


SMALL = DDPM(32, (1, 2), 1, (1,))


@pytest.mark.parametrize(
    ("model", "sde", "message"),
    [
        (SMALL.clone(patch_size=2), DiscreteVPSDE(), "patch_size 2 must be 1"),
        (SMALL.clone(conditional=False), DiscreteVPSDE(), "conditional False must be True"),
        (SMALL.clone(attention_up="once_per_level"), DiscreteVPSDE(), "attention_up 'once_per_level' must be 'every_b"),
        (SMALL.clone(channel_mults=(2, 2)), DiscreteVPSDE(), r"channel_mults \(2, 2\) must begin with 1"),
        (SMALL.clone(channels=24), DiscreteVPSDE(), "one number of groups"),
        (EDMPreconditioned(SMALL), VESDE(), "no form for EDMPreconditioned"),
        (SMALL, VESDE(), "positional embedding for a VPSDE or DiscreteVPSDE only, not for VESDE"),
        (SMALL, SubVPSDE(), "only, not for SubVPSDE"),
        (SMALL, VPSDE(beta_min=0.0), "no chain of 1000 steps for VPSDE"),
        (NCSNpp(32, (1, 2), 1, ()), DiscreteVPSDE(), "fourier embedding for a VESDE without num_levels only"),
        (NCSNpp(32, (1, 2), 1, ()), VESDE(num_levels=1000), "VESDE without num_levels only"),
        (NCSNpp(32, (1, 2), 1, (1,)), VESDE(), "down_1_attn_0/norm normalises 64 channels in 16 groups"),
        (
            NCSNpp(32, (1, 2), 1, (), progressive="none", progressive_input="none", fir=False),
            VESDE(),
            "progressive 'none' must be 'output_skip'; progressive_input 'none' must be 'input_skip'; fir False must",
        ),
        (
            NCSNpp(32, (1, 2), 1, (), progressive_input="residual"),
            VESDE(),
            "NCSNpp: progressive_input 'residual' must be 'input_skip'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_diffusers_has_no_form_for_is_not_written(tmp_path, model, sde, message):
    with pytest.raises(WeightsError, match=message):
        diffusers.write(tmp_path / "model", model, sde, {}, 8)
    assert not list(tmp_path.iterdir())
