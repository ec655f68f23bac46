"""A published network at its full size, here and in the diffusers library, with the same random weights.

python benchmarks/parity.py ddpm-bedroom-256        needs the extra [parity]

The folder that diffusers writes is read here; the folder that we write is read by diffusers. Printed are the largest
differences of the noise predictions for one picture, seconds, and the largest memory the program had.

Last results (two shared AVX2 cores, jax 0.10.2, torch 2.13.0, diffusers 0.42.1), differences relative to the largest
value of the output, theirs here and ours there; seconds there, and here with compilation; memory of both together:
ddpm-cifar10-32     1.8e-6 of 1.52, 1.7e-6     3 s,  9 s     1.2 GB
ddpm-bedroom-256    4.1e-6 of 1.64, 3.7e-6    14 s, 23 s     2.5 GB
ncsnpp-church-256   1.6e-6 of 2.90, 1.4e-6    18 s, 33 s     2.4 GB
ncsnpp-ffhq-1024    2.0e-6 of 3.67, 2.2e-6    60 s, 56 s     4.3 GB
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import diffusers as library
import jax
import numpy as np
import torch

from sdedit_jax import build
from sdedit_jax.weights import diffusers
from sdedit_jax.weights.stored import read_params

DDPM = {
    "freq_shift": 1,
    "flip_sin_to_cos": False,
    "downsample_padding": 0,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
}
NCSNPP = {
    "time_embedding_type": "fourier",
    "center_input_sample": True,
    "mid_block_scale_factor": 1.41421356237,
    "norm_num_groups": None,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
}
# What sets the networks of google/* on the Hugging Face hub apart: pixels, widths, the level with attention, blocks.
NETWORKS = {
    "ddpm-cifar10-32": (DDPM, 32, (128, 256, 256, 256), 1, 2),
    "ddpm-bedroom-256": (DDPM, 256, (128, 128, 256, 256, 512, 512), 4, 2),
    "ncsnpp-church-256": (NCSNPP, 256, (128, 128, 256, 256, 256, 256, 256), 4, 2),
    "ncsnpp-ffhq-1024": (NCSNPP, 1024, (16, 32, 64, 128, 256, 512, 512, 512), 6, 1),
}
SIGMA, STEP = 17.0, 613.0  # on [0, 1]; of 1000


def main() -> None:
    """Compares one network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    name = parser.parse_args().network
    with tempfile.TemporaryDirectory() as folder:
        compare(new_unet(*NETWORKS[name]), Path(folder))
    print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GB")


def compare(unet: library.UNet2DModel, folder: Path) -> None:
    """Takes the network there and back, and prints what it predicts on the way."""
    fourier = unet.config.time_embedding_type == "fourier"
    size = unet.config.sample_size
    scheduler = library.ScoreSdeVeScheduler() if fourier else library.DDPMScheduler()
    unet.save_pretrained(folder / "theirs")
    scheduler.save_pretrained(folder / "theirs")
    x = np.random.default_rng(0).standard_normal((1, size, size, 3)).astype(np.float32) * (2 * SIGMA if fourier else 1)
    noise_label = np.array([SIGMA if fourier else STEP], np.float32)
    wanted = timed("diffusers", lambda: their_noise(unet, x, noise_label))
    del unet
    source = diffusers.read(folder / "theirs", {})
    model, sde = build.build_model(source.config), build.build_sde(source.config)
    params = timed("read", lambda: read_params(source.tensors))
    run = jax.jit(model.apply)
    found = timed("here, compiled too", lambda: np.asarray(run({"params": params}, x, noise_label)))
    report("theirs here", found, wanted)
    timed("write", lambda: diffusers.write(folder / "ours", model, sde, params, size))
    unet = timed(
        "from_pretrained", lambda: library.UNet2DModel.from_pretrained(folder / "ours", low_cpu_mem_usage=False)
    )
    report("ours there", their_noise(unet.eval(), x, noise_label), found)


def new_unet(kind: dict, size: int, widths: tuple[int, ...], attention: int, blocks: int) -> library.UNet2DModel:
    """One of `NETWORKS` with random weights."""
    skip = "Skip" if kind is NCSNPP else ""
    kinds = ["Attn" * (level == attention) + skip for level in range(len(widths))]
    unet = random_unet(
        sample_size=size,
        block_out_channels=widths,
        layers_per_block=blocks,
        down_block_types=tuple(f"{kind}DownBlock2D" for kind in kinds),
        up_block_types=tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        **kind,
    )
    print(f"{sum(parameter.numel() for parameter in unet.parameters()):,} parameters")
    return unet


def random_unet(**config: Any) -> library.UNet2DModel:
    """The network of `config` with random weights, its biases too, which the library often begins with zero."""
    torch.manual_seed(0)
    unet = library.UNet2DModel(**config)
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if parameter.ndim == 1 and not name.startswith("time_proj"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return unet.eval()


def their_noise(unet: library.UNet2DModel, x: np.ndarray, noise_label: np.ndarray) -> np.ndarray:
    """The noise prediction of the network of diffusers for pictures (B, H, W, C) in our units, `noise_label` (B,)."""
    fourier = unet.config.time_embedding_type == "fourier"
    pixels = 0.5 * (x + 1.0) if fourier else x
    with torch.no_grad():
        y = unet(torch.tensor(pixels.transpose(0, 3, 1, 2)), torch.tensor(noise_label)).sample
    y = y.numpy().transpose(0, 2, 3, 1)
    # With Fourier features it is the score of pixels in [0, 1].
    return -y * noise_label[:, None, None, None] if fourier else y


def timed(what: str, function):
    """The result of `function`, and a line with its seconds."""
    start = time.perf_counter()
    result = function()
    print(f"{what}: {time.perf_counter() - start:.1f} s", flush=True)
    return result


def report(what: str, found: np.ndarray, wanted: np.ndarray) -> None:
    """A line with the largest difference and the size of what differs."""
    difference, largest = np.abs(found - wanted).max(), np.abs(wanted).max()
    print(
        f"{what}: largest difference {difference:.1e}, {difference / largest:.1e} of the largest value {largest:.2f}; "
        f"standard deviation {wanted.std():.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
