"""Diffusers folders that cannot be used: each says which file and which field, and what would do."""

import json
import re

import numpy as np
import pytest

from sdedit_jax.weights import WeightsError, diffusers
from tests.weights.diffusers.folders import copied, write


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("diffusers"), ["ddpm"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "config.json is of 'UNet2DConditionModel', and supported is UNet2D"),
        ({"down_block_types": ["DownBlock2D", "KDownBlock2D"]}, r"down_block_types is .* supported are DownBlock2D"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, r"down_block_types is .* supported are DownBlock2D"),
        ({"down_block_types": ["DownBlock2D"]}, "block_out_channels .* for each of down_block_types"),
        ({"down_block_types": "DownBlock2D"}, "block_out_channels .* for each of down_block_types"),
        ({"block_out_channels": [32, 48]}, "block_out_channels is .* multiples of the first"),
        ({"block_out_channels": [0, 32]}, "block_out_channels is .* multiples of the first"),
        ({"block_out_channels": [True, 32]}, "block_out_channels"),
        ({"block_out_channels": [24, 48]}, "one number of groups"),
        *[
            ({"layers_per_block": layers}, "layers_per_block must be a number from 1 to 64")
            for layers in ("2", [1, 2], True, 0, -1, 65, 10**9)
        ],
        ({"block_out_channels": [32] * 17, "down_block_types": ["DownBlock2D"] * 17}, "are 17 numbers up to 32, and"),
        ({"block_out_channels": [32, 2**17]}, "are 2 numbers up to 131072, and supported are 16 up to 65536"),
        *[({"sample_size": size}, "is no size of pictures") for size in (True, 0, -8, 65_537, [10**9, 10**9])],
        ({"sample_size": None}, "sample_size None is no size .* data="),
        ({"sample_size": [[8], [8]]}, "is no size"),
        ({"attention_head_dim": [64]}, r"attention_head_dim is \[64\], and supported is None"),
        ({"norm_num_groups": {}}, "norm_num_groups is {}, and supported is 32"),
        ({"sample_size": [8, 16]}, r"sample_size \[8, 16\] is no size"),
        (
            {"block_out_channels": [64, 128]},
            r"weights do not fit the model of this config:\n  conv_in.bias: wanted \(64,\)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_folder_that_cannot_be_used_says_why(written, tmp_path, fields, message):
    folder = copied(written["ddpm"], tmp_path, **fields)
    with pytest.raises(WeightsError, match=f"(?s){re.escape(str(folder))} cannot be used: .*{message}"):
        diffusers.read(folder, {})


def test_every_tensor_has_its_place(written, tmp_path):
    def spoiled(tensors):
        tensors["class_embedding.weight"] = tensors.pop("conv_out.bias")
        tensors["conv_in.weight"] = np.ascontiguousarray(tensors["conv_in.weight"].transpose(2, 3, 1, 0))
        return tensors

    with pytest.raises(WeightsError) as error:
        diffusers.read(copied(written["ddpm"], tmp_path, change=spoiled), {})
    assert str(error.value).splitlines()[1:] == [
        "  missing conv_out.bias: (3,) float32",
        "  left over class_embedding.weight: (3,) float32",
        "  conv_in.weight: wanted (32, 3, 3, 3) float32, found (3, 3, 3, 32) float32",
    ]


def test_weights_that_are_not_there(written, tmp_path):
    folder = copied(written["ddpm"], tmp_path)
    path = folder / "diffusion_pytorch_model.safetensors"
    path.rename(folder / "diffusion_pytorch_model.fp16.safetensors")
    with pytest.raises(WeightsError, match=r"no diffusion_\w+.safetensors or \w+.bin, only .*fp16.safetensors"):
        diffusers.read(folder, {})
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text("{}")
    with pytest.raises(WeightsError, match="spread over several files"):
        diffusers.read(folder, {})


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "\x00", "{" + " " * 1_000_000 + "}"])
def test_configs_that_are_not_json(written, tmp_path, text):
    folder = copied(written["ddpm"], tmp_path)
    (folder / "config.json").write_text(text)
    with pytest.raises(WeightsError, match="config.json (cannot be read as JSON|holds no JSON object)"):
        diffusers.read(folder, {})


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ({"_class_name": "ScoreSdeVeScheduler"}, "'ScoreSdeVeScheduler'; with time_embedding_type positional it must"),
        (
            {"_class_name": "DDPMScheduler", "beta_schedule": "squaredcos_cap_v2"},
            "beta_schedule .* 'squaredcos_cap_v2'",
        ),
        ({"_class_name": "DDPMScheduler", "prediction_type": "v_prediction"}, "prediction_type .* 'v_prediction'"),
        ({"_class_name": "DDIMScheduler", "trained_betas": [0.1]}, "trained_betas"),
        ({"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True}, "rescale_betas_zero_snr"),
        *[
            ({"_class_name": "DDPMScheduler", field: value}, f"{field} of its scheduler must be a number, got")
            for field, value in (("beta_start", True), ("beta_end", "0.02"), ("num_train_timesteps", [1000]))
        ],
        *[
            ({"_class_name": "DDPMScheduler", field: value}, f"config.sde.*{name} must be ")
            for field, name, value in (
                ("beta_end", "beta_end", 3.0),
                ("beta_start", "beta_start", 0),
                ("num_train_timesteps", "num_levels", 10**13),
                ("num_train_timesteps", "num_levels", 10.0),
            )
        ],
        ({}, "its scheduler is None"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_schedulers_of_another_sde_are_refused(written, tmp_path, scheduler, message):
    folder = copied(written["ddpm"], tmp_path)
    (folder / "scheduler_config.json").write_text(json.dumps(scheduler))
    with pytest.raises(WeightsError, match=message):
        diffusers.read(folder, {})


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ({"sigma_min": True}, "sigma_min of its scheduler must be a number, got True"),
        ({"sigma_max": None}, "sigma_max of its scheduler must be a number, got None"),
        ({"sigma_min": -1.0}, r"sigma_min must be in \(0, sigma_max"),
        ({"sigma_max": float("nan")}, r"sigma_max must be in \(0, 1e9\], got nan"),
        ({"sigma_max": 10**400}, r"sigma_max must be in \(0, 1e9\]"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_sigmas_are_positive_numbers(tmp_path, sigmas, message):
    folder = write(tmp_path, ["ncsnpp"])["ncsnpp"]
    (folder / "scheduler_config.json").write_text(json.dumps({"_class_name": "ScoreSdeVeScheduler"} | sigmas))
    with pytest.raises(WeightsError, match=message):
        diffusers.read(folder, {})
