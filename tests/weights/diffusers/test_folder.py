"""Diffusers folders: what their configs mean, whole networks there and back, and a clear no to all others."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from sdedit_jax import build, trees
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.weights import WeightsError, diffusers
from sdedit_jax.weights.stored import read_params
from tests.models.networks import sine_params
from tests.models.published import GOLDENS
from tests.weights.diffusers.folders import FAMILIES, assert_same, copied, params, write
from tests.weights.files import torch_writer


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write(tmp_path_factory.mktemp("diffusers"))


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_written_is_read(written, name):
    model, sde = FAMILIES[name]
    source = diffusers.read(written[name], {})
    assert build.build_model(source.config) == model
    assert build.build_sde(source.config) == sde
    assert source.config["data"] == {"image_size": 8} and source.assumed == {} and source.notes == ()
    assert_same(read_params(source.tensors), params(name))


@pytest.mark.parametrize(
    ("net", "sde"),
    [
        (GOLDENS["sdedit_ddpm"].net, DiscreteVPSDE()),
        # diffusers has another number of groups where 64 channels have attention.
        (GOLDENS["ve_church"].net.clone(channel_mults=(1, 4, 4)), VESDE(0.02, 760.0)),
    ],
    ids=["ddpm", "ncsnpp"],
)
def test_the_weights_behind_published_answers_come_back(tmp_path, net, sde):
    """With these weights tests/models compares the DDPM itself, and the NCSN++ but for a width, with the published."""
    given = sine_params(net)["params"]
    diffusers.write(tmp_path / "model", net, sde, given, 32)
    source = diffusers.read(tmp_path / "model", {})
    assert build.build_model(source.config) == net
    assert_same(read_params(source.tensors), given)


def test_a_folder_holds_four_files(written):
    for name, pipeline in (("ddpm", "DDPMPipeline"), ("ncsnpp", "ScoreSdeVePipeline")):
        files = {path.name for path in written[name].iterdir()}
        assert files == {
            "config.json",
            "diffusion_pytorch_model.safetensors",
            "model_index.json",
            "scheduler_config.json",
        }
        assert json.loads((written[name] / "model_index.json").read_text())["_class_name"] == pipeline
    assert {path.name for path in written["ddpm"].parent.iterdir()} == set(FAMILIES)  # and no temporary folder


def test_layouts_are_those_of_torch(written):
    tensors = load_file(written["ncsnpp"] / "diffusion_pytorch_model.safetensors")
    ours = trees.flatten(params("ncsnpp"))
    same = {
        "conv_in.weight": ours["conv_in/kernel"].transpose(3, 2, 0, 1),
        "down_blocks.0.skip_conv.weight": ours["down_0_pyramid/kernel"].T[:, :, None, None],
        "down_blocks.1.resnets.0.conv_shortcut.weight": ours["down_1_block_0/shortcut/kernel"].T[:, :, None, None],
        "down_blocks.1.attentions.0.to_q.weight": ours["down_1_attn_0/q/kernel"].T,
        "mid_block.resnets.0.time_emb_proj.weight": ours["mid_block_1/temb_proj/kernel"].T,
        "conv_norm_out.weight": ours["up_0_pyramid/norm/scale"],
    }
    for name, values in same.items():
        np.testing.assert_array_equal(tensors[name], values, err_msg=name)


def test_the_sigmas_of_the_library_are_for_pixels_in_0_1(written):
    scheduler = json.loads((written["ncsnpp"] / "scheduler_config.json").read_text())
    assert scheduler == {"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 378.0}


def test_vp_becomes_the_chain_with_its_betas(tmp_path):
    model, _ = FAMILIES["ddpm"]
    diffusers.write(tmp_path / "vp", model, VPSDE(), params("ddpm"), 8)
    sde = build.build_sde(diffusers.read(tmp_path / "vp", {}).config)
    assert sde == DiscreteVPSDE()


def test_a_network_that_predicts_the_noise_of_ve_is_turned_into_a_score(tmp_path):
    model, sde = FAMILIES["ncsnpp"]
    diffusers.write(tmp_path / "noise", model.clone(output="noise"), sde, params("ncsnpp"), 8)
    source = diffusers.read(tmp_path / "noise", {})
    assert source.config["model"]["output"] == "scaled_score"
    found, given = trees.flatten(read_params(source.tensors)), trees.flatten(params("ncsnpp"))
    outputs = {path for path in given if re.match(r"up_[01]_pyramid/conv", path)}
    assert len(outputs) == 4
    for path in given:
        np.testing.assert_array_equal(found[path], -given[path] if path in outputs else given[path], err_msg=path)


def test_a_pipeline_with_folders_is_read(written, tmp_path):
    copied(written["ddpm"], tmp_path / "unet", leave=("model_index.json", "scheduler_config.json"))
    (tmp_path / "scheduler").mkdir()
    scheduler = {"_class_name": "DDIMScheduler", "beta_end": 0.03}
    (tmp_path / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    index = {"_class_name": "DDPMPipeline", "scheduler": ["diffusers", "DDIMScheduler"], "unet": ["diffusers", "U"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    source = diffusers.read(tmp_path, {})
    assert build.build_sde(source.config) == DiscreteVPSDE(beta_end=0.03)
    assert_same(read_params(source.tensors), params("ddpm"))
    (tmp_path / "model_index.json").write_text(json.dumps(index | {"vqvae": ["diffusers", "VQModel"]}))
    with pytest.raises(WeightsError, match="pipeline has vqvae too"):
        diffusers.read(tmp_path, {})


def test_bin_files_are_read(written, tmp_path):
    folder = copied(written["ddpm"], tmp_path)
    path = folder / "diffusion_pytorch_model.safetensors"
    torch_writer.write_zip(folder / "diffusion_pytorch_model.bin", load_file(path))
    path.unlink()
    assert_same(read_params(diffusers.read(folder, {}).tensors), params("ddpm"))
    torch_writer.write_zip(folder / "diffusion_pytorch_model.bin", {"step": 3})
    with pytest.raises(WeightsError, match="holds other things than named tensors"):
        diffusers.read(folder, {})


def test_half_precision_is_read_as_float32(written, tmp_path):
    def halved(tensors):
        return {name: values.astype(np.float16) for name, values in tensors.items()}

    found = read_params(diffusers.read(copied(written["ddpm"], tmp_path, change=halved), {}).tensors)
    wanted = trees.flatten(params("ddpm"))
    for path, values in trees.flatten(found).items():
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, wanted[path].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("both", [False, True], ids=["instead", "as_well"])
def test_the_names_of_2022(written, tmp_path, both):
    old_names = {
        "attentions.0.to_q.": "attentions.0.query.",
        "attentions.0.to_k.": "attentions.0.key.",
        "attentions.0.to_v.": "attentions.0.value.",
        "attentions.0.to_out.0.": "attentions.0.proj_attn.",
        "downsamplers.0.conv.": "downsamplers.0.Conv2d_0.",
    }

    def renamed(tensors):
        old = {}
        for name, values in tensors.items():
            for new_part, old_part in old_names.items():
                name = name.replace(new_part, old_part)
            old[name] = values
        assert len(set(old) - set(tensors)) == 3 * 8 + 2
        return tensors | {name: old[name] for name in set(old) - set(tensors)} if both else old

    source = diffusers.read(copied(written["ddpm"], tmp_path, change=renamed), {})
    assert_same(read_params(source.tensors), params("ddpm"))


def test_the_frequencies_have_an_old_name(written, tmp_path):
    def renamed(tensors):
        return {"time_proj.W" if name == "time_proj.weight" else name: values for name, values in tensors.items()}

    source = diffusers.read(copied(written["ncsnpp"], tmp_path, change=renamed), {})
    assert_same(read_params(source.tensors), params("ncsnpp"))


def test_folders_are_recognised(written, tmp_path):
    assert diffusers.recognises(written["ddpm"])
    assert not diffusers.recognises(tmp_path)
    (tmp_path / "config.json").write_text('{"model": {"name": "ddpm"}}')  # a training folder
    assert not diffusers.recognises(tmp_path)
    with pytest.raises(WeightsError, match="config.json is of None"):
        diffusers.read(tmp_path, {})
    (tmp_path / "config.json").write_text('{"_class_name": "Transformer2DModel"}')
    assert diffusers.recognises(tmp_path)
    with pytest.raises(WeightsError, match="it has no config.json"):
        diffusers.read(tmp_path / "absent", {})


def test_without_a_scheduler_the_noise_is_assumed(written, tmp_path):
    folder = copied(written["ddpm"], tmp_path, leave=("scheduler_config.json",), prediction="epsilon")
    source = diffusers.read(folder, {})
    assert build.build_sde(source.config) == DiscreteVPSDE()
    noise, unknown = source.notes
    assert "there is no scheduler_config.json" in noise and "discrete_vp" in source.assumed["sde.name"]
    assert unknown == "prediction of config.json, 'epsilon', changes nothing."
    folder = copied(written["ncsnpp"], tmp_path / "ve", leave=("scheduler_config.json",), sample_size=256)
    source = diffusers.read(folder, {})
    assert build.build_sde(source.config) == VESDE(0.02, 696.0)
    assert "sde.sigma_max" in source.assumed
    source = diffusers.read(folder, {"sde": {"sigma_max": 756.0}})
    assert build.build_sde(source.config) == VESDE(0.02, 756.0)
    assert "sde.sigma_max" not in source.assumed


def test_what_somebody_knows_better(written):
    overrides = {"sde": {"name": "vp"}, "data": {"image_size": 16}, "model": {"dropout": 0.1}}
    source = diffusers.read(written["ddpm"], overrides)
    assert build.build_sde(source.config) == VPSDE()
    assert source.config["data"] == {"image_size": 16}
    assert build.build_model(source.config) == FAMILIES["ddpm"][0].clone(dropout=0.1)
    with pytest.raises(WeightsError, match="fields of model, sde, data, as in .* got solver={}"):
        diffusers.read(written["ddpm"], {"solver": {}})
    with pytest.raises(WeightsError, match=r"\[16\] is no size of pictures here; say it: data="):
        diffusers.read(written["ddpm"], {"data": {"image_size": [16]}})
    with pytest.raises(WeightsError, match="layers_per_block is 1, and supported is 2"):
        diffusers.read(written["ddpm"], {"model": {"num_res_blocks": 2}})


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    model, sde = FAMILIES["ddpm"]
    broken = trees.flatten(params("ddpm"))
    with pytest.raises(WeightsError, match=r"not those of the model:\n  missing conv_in/bias"):
        diffusers.write(
            tmp_path / "m", model, sde, {name: v for name, v in params("ddpm").items() if name != "conv_in"}, 8
        )
    broken["conv_in/bias"] = np.full_like(broken["conv_in/bias"], np.nan)
    with pytest.raises(WeightsError, match="conv_in/bias has 32 values that are NaN"):
        diffusers.write(tmp_path / "m", model, sde, trees.unflatten(broken), 8)
    assert not list(tmp_path.iterdir())
    (tmp_path / "m").mkdir()
    with pytest.raises(WeightsError, match="is there already"):
        diffusers.write(tmp_path / "m", model, sde, params("ddpm"), 8)
    assert not list((tmp_path / "m").iterdir())
