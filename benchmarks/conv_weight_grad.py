"""How much quicker a train step is on a CPU with the weight gradient of 3 x 3 convolutions as a matrix product.

    python benchmarks/conv_weight_grad.py

The two steps alternate, so that other load on the machine falls on both. Last result: jax 0.10.2, two shared cores of
an AMD EPYC, busy with other work throughout (compare the two lines, not with other machines):

    matrix product: 3.30 s, 3.08 s of CPU time a step (median of 9)
         XLA's own: 4.47 s, 4.15 s of CPU time a step (median of 9)
"""

import statistics
import time
from unittest import mock

import jax
import jax.numpy as jnp

from sdedit_jax.models import EDMPreconditioned, NCSNpp, convolution

NUM_ROUNDS = 9
BATCH_SIZE, IMAGE_SIZE = 16, 64


def main():
    network = NCSNpp(channels=48, channel_mults=(1, 2, 3), patch_size=2, attention_levels=(2,))
    model = EDMPreconditioned(network)
    x = jax.random.normal(jax.random.key(0), (BATCH_SIZE, IMAGE_SIZE, IMAGE_SIZE, 3))
    noise_label = jnp.linspace(0.01, 10.0, BATCH_SIZE)
    params = jax.jit(model.init)(jax.random.key(1), x, noise_label)
    steps = {"matrix product": build_step(model), "XLA's own": build_step(model)}

    # What a step is made of is decided when it is traced, at its first call.
    with mock.patch.object(convolution, "convolve", convolution._convolve):
        step_time(steps["XLA's own"], params, x, noise_label)
    step_time(steps["matrix product"], params, x, noise_label)
    times = {name: [] for name in steps}
    for _ in range(NUM_ROUNDS):
        for name, step in steps.items():
            times[name].append(step_time(step, params, x, noise_label))
    for name in steps:
        wall, cpu = (statistics.median(values) for values in zip(*times[name], strict=True))
        print(f"{name:>14}: {wall:.2f} s, {cpu:.2f} s of CPU time a step (median of {NUM_ROUNDS})")


def build_step(model):
    def loss(params, x, noise_label):
        return jnp.square(model.apply(params, x, noise_label) - 1.0).mean()

    return jax.jit(jax.grad(loss))


def step_time(step, *args):
    wall, cpu = time.perf_counter(), time.process_time()
    jax.block_until_ready(step(*args))
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
