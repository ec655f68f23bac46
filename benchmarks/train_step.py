"""One optimizer step of NCSN++ at CIFAR-10's size, here and in PyTorch with the same weights.

    python -m benchmarks.train_step        needs the extra [parity]

The network is that of configs/cifar10.py:ncsnpp with the pyramids that the diffusers library knows ("input_skip" and
"output_skip"), without dropout; a step is the loss of 8 pictures, its gradient, clipping, Adam and the average of the
parameters. The two alternate, so that other load on the machine falls on both.

Last result (two idle AVX2 cores, jax 0.10.2, torch 2.13.0 CPU; 61.9 million parameters; losses equal to 2.4e-7):

    here: 6.69 s, 12.32 s of CPU time a step (median of 7)
 PyTorch: 6.28 s, 12.28 s of CPU time a step (median of 7)
    wall: 1.08 times PyTorch's (0.96 to 1.31)
     CPU: 1.04 times PyTorch's (0.94 to 1.06)
"""

import copy
import functools
import statistics
import tempfile
import time
from pathlib import Path

import diffusers as library
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks.parity import NCSNPP, new_unet
from sdedit_jax import build
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.training import TrainStep, init_state
from sdedit_jax.weights import diffusers
from sdedit_jax.weights.stored import read_params

SIZE, BATCH_SIZE, NUM_ROUNDS = 32, 8, 7
LEARNING_RATE, GRAD_CLIP, EMA_DECAY = 2e-4, 1.0, 0.999


def main():
    unet = new_unet(NCSNPP, SIZE, (128, 256, 256, 256), 1, 4)
    with tempfile.TemporaryDirectory() as folder:
        unet.save_pretrained(folder)
        library.ScoreSdeVeScheduler().save_pretrained(folder)
        source = diffusers.read(Path(folder), {})
        params = read_params(source.tensors)
    loss_fn = DenoisingScoreMatching(build.build_model(source.config), build.build_sde(source.config))
    x0 = np.random.default_rng(0).uniform(-1, 1, (BATCH_SIZE, SIZE, SIZE, 3)).astype(np.float32)
    compare_losses(unet, loss_fn, params, x0)
    steps = {"here": our_step(loss_fn, params, x0), "PyTorch": their_step(unet.train(), loss_fn.sde, x0)}
    times = {name: [] for name in steps}
    for number in range(NUM_ROUNDS + 1):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            step()
            if number > 0:  # the first compiles
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    for name in steps:
        wall, cpu = (statistics.median(values) for values in zip(*times[name], strict=True))
        print(f"{name:>8}: {wall:.2f} s, {cpu:.2f} s of CPU time a step (median of {NUM_ROUNDS})")
    for which, values in (("wall", 0), ("CPU", 1)):
        ratios = [a[values] / b[values] for a, b in zip(times["here"], times["PyTorch"], strict=True)]
        print(f"{which:>8}: {statistics.median(ratios):.2f} times PyTorch's ({min(ratios):.2f} to {max(ratios):.2f})")


def our_step(loss_fn, params, x0):
    """A function that does a step and waits for it."""
    tx = optax.chain(optax.clip_by_global_norm(GRAD_CLIP), optax.adam(LEARNING_RATE))
    state, key = jax.jit(functools.partial(init_state, tx=tx))(params), jax.random.key(0)
    jitted = jax.jit(TrainStep(loss_fn, tx, EMA_DECAY), donate_argnames="state")

    def step():
        nonlocal state
        state, metrics = jitted(state, key, x0)
        float(metrics["loss"])

    return step


def their_step(unet, sde, x0):
    """A function that does a step."""
    average = copy.deepcopy(unet).requires_grad_(False)
    trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
    averaged = [
        a for a, parameter in zip(average.parameters(), unet.parameters(), strict=True) if parameter.requires_grad
    ]
    adam = torch.optim.Adam(trained, LEARNING_RATE)
    x0 = torch.tensor(x0.transpose(0, 3, 1, 2))

    def step():
        t = torch.rand(BATCH_SIZE).clamp_min(1e-5)
        sigma = sde.sigma_min * (sde.sigma_max / sde.sigma_min) ** t
        loss = torch_losses(unet, x0, sigma, torch.randn_like(x0)).mean()
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, GRAD_CLIP)
        adam.step()
        torch._foreach_lerp_(averaged, [parameter.detach() for parameter in trained], 1.0 - EMA_DECAY)
        loss.item()

    return step


def torch_losses(unet, x0, sigma, z):
    """(B,) losses of pictures (B, C, H, W) in [-1, 1]; the network takes those in [0, 1] and gives their score."""
    x = x0 + sigma[:, None, None, None] * z
    eps = -0.5 * sigma[:, None, None, None] * unet(0.5 * (x + 1.0), 0.5 * sigma).sample
    return (eps - z).square().mean(dim=(1, 2, 3))


def compare_losses(unet, loss_fn, params, x0):
    """A line with the largest difference of the losses of the same noise."""
    t = np.linspace(0.1, 0.9, BATCH_SIZE).astype(np.float32)
    z = np.random.default_rng(1).standard_normal(x0.shape).astype(np.float32)
    found = np.asarray(jax.jit(loss_fn.per_image)(params, x0, t, z))
    with torch.no_grad():
        x0, z, sigma = (torch.tensor(np.asarray(a)) for a in (x0, z, loss_fn.sde.sigma(jnp.asarray(t))))
        wanted = torch_losses(unet, x0.permute(0, 3, 1, 2), sigma, z.permute(0, 3, 1, 2)).numpy()
    print(f"losses differ by {np.abs(found / wanted - 1.0).max():.1e} of their size", flush=True)


if __name__ == "__main__":
    main()
