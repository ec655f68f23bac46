"""The same weights give the same pictures in the diffusers library, in both directions. Needs the extra [parity]."""

import functools
import inspect

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sdedit_jax import build
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.weights import diffusers
from sdedit_jax.weights.diffusers.scheduler import CHAIN_DEFAULTS, CHAIN_SCHEDULERS, VE_DEFAULTS
from sdedit_jax.weights.diffusers.unet import UNET_DEFAULTS
from sdedit_jax.weights.stored import read_params
from tests.models.networks import quick_jit, random_params
from tests.weights.diffusers import hosted

torch = pytest.importorskip("torch", reason="the extra [parity] is not installed")
theirs = pytest.importorskip("diffusers", reason="the extra [parity] is not installed")
parity = pytest.importorskip("benchmarks.parity", reason="the extra [parity] is not installed")

HEIGHT, WIDTH = 16, 24  # pixels; a network of three levels takes any multiples of four
RTOL = 1e-4  # of the largest output: float32 sums in another order through some forty layers

DDPM_CONFIG = {
    "sample_size": 16,
    "block_out_channels": (32, 32, 64),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    **parity.DDPM,
}
NCSNPP_CONFIG = {
    "sample_size": 16,
    "block_out_channels": (32, 128, 64),
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D", "SkipDownBlock2D"),
    "up_block_types": ("SkipUpBlock2D", "AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "layers_per_block": 1,
    **parity.NCSNPP,
}
CONFIGS = {
    "ddpm": DDPM_CONFIG,
    "ncsnpp": NCSNPP_CONFIG,
    "ncsnpp_vp": NCSNPP_CONFIG
    | {
        "time_embedding_type": "positional",
        "center_input_sample": False,
        "freq_shift": 1,
        "flip_sin_to_cos": False,
    },
}
MODELS = {
    "ddpm": (DDPM(32, (1, 1, 2), 2, (1,)), DiscreteVPSDE()),
    "ddpm_scaled_score": (DDPM(32, (1, 2), 1, (), output="scaled_score"), VPSDE()),
    "ncsnpp": (NCSNpp(32, (1, 4, 2), 1, (1,), output="scaled_score"), VESDE(0.02, 696.0)),
    "ncsnpp_noise": (NCSNpp(32, (1, 2), 1, ()), VESDE(0.02, 100.0)),
    "ncsnpp_vp": (NCSNpp(32, (1, 4, 2), 1, (1,), embedding="positional"), DiscreteVPSDE()),
}


@functools.cache
def compiled(model):
    return quick_jit(model.apply)


def assert_same_function(model, params, unet):
    x = np.random.default_rng(0).standard_normal((2, HEIGHT, WIDTH, 3)).astype(np.float32)
    noise_label = np.array([0.37, 17.0] if unet.config.time_embedding_type == "fourier" else [3, 613], np.float32)
    wanted = parity.their_noise(unet, x, noise_label)
    found = compiled(model)({"params": params}, x, jnp.asarray(noise_label))
    assert np.abs(wanted).max() > 0.1  # two networks that give nothing would agree
    np.testing.assert_allclose(found, wanted, rtol=0, atol=RTOL * np.abs(wanted).max())


def assert_reads_as(folder, unet, pipeline=False):
    fourier = unet.config.time_embedding_type == "fourier"
    source = diffusers.read(folder, {"sde": {"sigma_max": 90.0}} if fourier and not pipeline else {})
    assert_same_function(build.build_model(source.config), read_params(source.tensors), unet)
    return source


@pytest.mark.parametrize("safe", [True, False], ids=["safetensors", "bin"])
@pytest.mark.parametrize("name", CONFIGS)
def test_their_folder_is_the_same_function_here(tmp_path, name, safe):
    unet = parity.random_unet(**CONFIGS[name])
    unet.save_pretrained(tmp_path, safe_serialization=safe)
    assert (tmp_path / "diffusion_pytorch_model.bin").exists() != safe
    assert_reads_as(tmp_path, unet)


@pytest.mark.parametrize(
    ("name", "scheduler", "sde"),
    [
        ("ddpm", "DDPMScheduler", DiscreteVPSDE()),
        ("ncsnpp", "ScoreSdeVeScheduler", VESDE(0.02, 2696.0)),
    ],
)
def test_their_pipeline_is_read(tmp_path, name, scheduler, sde):
    unet = parity.random_unet(**CONFIGS[name])
    pipeline = theirs.DDPMPipeline if name == "ddpm" else theirs.ScoreSdeVePipeline
    pipeline(unet=unet, scheduler=getattr(theirs, scheduler)()).save_pretrained(tmp_path)
    source = assert_reads_as(tmp_path, unet, pipeline=True)
    assert build.build_sde(source.config) == sde and not source.assumed and not source.notes


def test_the_names_of_2022_are_read(tmp_path):
    unet = parity.random_unet(**DDPM_CONFIG)
    unet.save_pretrained(tmp_path)
    path = tmp_path / "diffusion_pytorch_model.safetensors"
    old_names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    old = {}
    for name, values in load_file(path).items():
        for new_part, old_part in old_names.items():
            name = name.replace(new_part, old_part)
        old[name] = values
    assert sum(".query." in name for name in old) == 2 * (2 + 1 + 3)
    save_file(old, path, metadata={"format": "pt"})
    assert_reads_as(tmp_path, unet)
    # The library itself reads them so too.
    reloaded = theirs.UNet2DModel.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    for name, parameter in unet.state_dict().items():
        torch.testing.assert_close(reloaded.state_dict()[name], parameter, rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
def test_our_folder_is_the_same_function_there(tmp_path, name):
    model, sde = MODELS[name]
    params = random_params(model)["params"]
    diffusers.write(tmp_path / "model", model, sde, params, 16)
    unet, report = theirs.UNet2DModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report.values()), report
    assert_same_function(model, params, unet.eval())


@pytest.mark.parametrize("name", ["ddpm", "ncsnpp"])
def test_our_folder_runs_in_their_pipeline(tmp_path, name):
    model, sde = MODELS[name]
    diffusers.write(tmp_path / "model", model, sde, random_params(model)["params"], 16)
    pipeline = theirs.DiffusionPipeline.from_pretrained(tmp_path / "model")
    assert type(pipeline).__name__ == {"ddpm": "DDPMPipeline", "ncsnpp": "ScoreSdeVePipeline"}[name]
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(num_inference_steps=2, output_type="np").images
    assert images.shape == (1, 16, 16, 3) and np.isfinite(images).all()
    pipeline.save_pretrained(tmp_path / "again")
    source = diffusers.read(tmp_path / "again", {})
    assert build.build_sde(source.config) == sde and source.config["data"] == {"image_size": 16}


@pytest.mark.parametrize(
    ("cls", "defaults"),
    [("UNet2DModel", UNET_DEFAULTS), ("ScoreSdeVeScheduler", VE_DEFAULTS)]
    + [(name, CHAIN_DEFAULTS) for name in CHAIN_SCHEDULERS],
)
def test_what_a_file_leaves_out_is_what_the_library_takes(cls, defaults):
    fields = inspect.signature(getattr(theirs, cls).__init__).parameters
    known = {name: value for name, value in defaults.items() if name in fields}
    assert known == {name: fields[name].default for name in known}
    # PNDM alone cannot rescale its betas; a network has to be known whole.
    assert set(defaults) - set(known) <= {"rescale_betas_zero_snr"}
    assert cls != "UNet2DModel" or set(fields) == {"self", *defaults}


def test_recorded_outputs_are_of_what_we_ask_for(tmp_path):
    """The protocol of `tests/weights/test_hosted_logits.py`, which needs a download, on networks that need none."""
    np.testing.assert_allclose(hosted.torch_noise(64), torch_normal(64), rtol=0, atol=3e-6)
    for name, scheduler in (("ddpm", theirs.DDPMScheduler()), ("ncsnpp", theirs.ScoreSdeVeScheduler())):
        unet = parity.random_unet(**CONFIGS[name] | {"sample_size": 32})
        unet.save_pretrained(tmp_path / name)
        scheduler.save_pretrained(tmp_path / name)
        with torch.no_grad():
            wanted = unet(torch_normal(32), torch.tensor([10])).sample[0, 0, 0, :30].numpy()
        assert wanted.std() > 0.01
        found = hosted.first_pixels(tmp_path / name)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=RTOL * np.abs(wanted).max())


def torch_normal(size):
    return torch.randn(1, 3, size, size, generator=torch.manual_seed(0))
