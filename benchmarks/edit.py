"""Seconds of one edit with the bundled model, 4 candidates at 64 x 64: compilation, then each further edit.

python benchmarks/edit.py [NUM_STEPS]

Last result (two shared AVX2 cores, jax 0.10.2, 50 steps):
first 13.1 s, then median 5.43 s (from 4.50 to 5.84 s)
"""

import sys
import time

import jax
import jax.numpy as jnp

from sdedit_jax import Ancestral, load_model, sdedit


def main(num_steps: int = 50) -> None:
    """Times five edits after the one that compiles."""
    loaded = load_model("landscapes")
    x_guide = jnp.zeros((4, 64, 64, 3))
    times = []
    for seed in range(6):
        start = time.perf_counter()
        jax.block_until_ready(
            sdedit(
                loaded.params,
                jax.random.key(seed),
                x_guide,
                None,
                0.5,
                model=loaded.model,
                sde=loaded.sde,
                solver=Ancestral(),
                num_steps=num_steps,
            )
        )
        times.append(time.perf_counter() - start)
    warm = sorted(times[1:])
    print(f"first {times[0]:.1f} s, then median {warm[2]:.2f} s (from {warm[0]:.2f} to {warm[-1]:.2f} s)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
