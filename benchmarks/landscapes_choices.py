"""Which network, noise levels and prediction make the best landscapes model for equal work.

    python -m benchmarks.landscapes_choices DATA_FOLDER WORK_FOLDER [MINUTES [CHOICE ...]]

DATA_FOLDER is the landscapes at 64 x 64 as `--mode prepare` makes them. Each choice differs from configs/landscapes.py
in the fields that it names, and is trained from nothing for the same MINUTES (20) of CPU time, compilation not counted;
then its averaged parameters denoise 128 validation pictures at given ratios of noise to signal. The error is relative
to the variance of the pictures, so that 1 is the error of grey. Lower is better. Results are kept in WORK_FOLDER, one
JSON file a choice; the table is of those that are there. That of 12 minutes is in docs/landscapes.md.
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.training_choices import squares
from configs import landscapes
from sdedit_jax import build, disk
from sdedit_jax.data import pipeline
from sdedit_jax.training import TrainStep, init_state

MINUTES, SEED, NUM_VALIDATION = 20.0, 0, 128
RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)

DDPMPP = {"model.fir": False, "model.progressive": "none", "model.progressive_input": "none"}
UNIFORM = {"training.times": {"name": "uniform"}}
VP = {"sde": {"name": "vp", "beta_min": 0.1, "beta_max": 20.0}}
CHOICES = {
    "as configured": {},
    "DDPM++": DDPMPP,
    "no patches": {"model.patch_size": 1, "model.channels": 16, "model.channel_mults": (1, 2, 4, 8)}
    | {"model.attention_levels": (3,)},
    "wider at 32": {"model.channels": 64, "model.channel_mults": (1, 1, 2)},
    "wider": {"model.channels": 48, "model.channel_mults": (1, 2, 3)},
    "Adam": {"training.muon_learning_rate": 0.0},
    "narrower noise": {"training.times": {"name": "log_normal", "mean": -1.0, "std": 1.2}},
    "uniform noise": UNIFORM,
    "eps": UNIFORM | {"preconditioning.name": "none", "training.weighting": "noise"},
    "v": UNIFORM | VP | {"preconditioning.name": "v", "training.weighting": "v"},
}


def main(data: str, work: str, minutes: str = str(MINUTES), *names: str) -> None:
    """Trains the choices whose results are missing, then prints the table."""
    for name in names or CHOICES:
        path = Path(work) / f"{name.replace(' ', '_').replace('+', 'p')}.json"
        if not path.exists():
            result = {"choice": name, **trained(CHOICES[name], data, 60.0 * float(minutes))}
            with disk.replacing(path) as temporary:
                temporary.write_text(json.dumps(result))
    print_table([json.loads(path.read_text()) for path in Path(work).glob("*.json")])


def trained(changes: dict, data: str, seconds: float) -> dict:
    """What training for `seconds` of CPU time comes to."""
    config = landscapes.get_config()
    for name, value in changes.items():
        section, _, field = name.rpartition(".")
        setattr(config[section] if section else config, field, value)
    loss_fn = build.build_loss(config)
    train_step = TrainStep(loss_fn, build.build_optimizer(config), config.training.ema_decay)
    step = jax.jit(train_step, donate_argnums=0)
    key_init, key_train = jax.random.split(jax.random.key(SEED))
    state = init_state(jax.jit(lambda key: build.init_params(loss_fn.model, key, 64))(key_init), train_step.tx)
    state = jax.tree.map(jnp.copy, state)  # the EMA is a copy, which donation needs
    source = pipeline.open_source(data, "train", 64)
    batches = pipeline.train_batches(source, batch_size=config.training.batch_size, seed=SEED, start_step=0)
    compiled = step.lower(state, key_train, next(batches)).compile()
    num_steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        state, metrics = jax.block_until_ready(compiled(state, key_train, next(batches)))
        num_steps += 1
    loss = float(metrics["loss"])
    x0 = jnp.asarray(next(pipeline.eval_batches(pipeline.open_source(data, "validation", 64), NUM_VALIDATION)))
    errors = [float(error(loss_fn, state.ema_params, x0, ratio)) for ratio in RATIOS]
    num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    return {"steps": num_steps, "millions": num_params / 1e6, "last loss": loss, "errors": errors}


def error(loss_fn, params, x0: jax.Array, ratio: float) -> jax.Array:
    """Of the denoised pictures, relative to their variance; in parts, as 128 of these pictures are many at once."""
    parts = zip(jax.random.split(jax.random.key(7), 4), jnp.split(x0, 4), strict=True)
    return jnp.concatenate([squares(loss_fn, params, key, part, ratio) for key, part in parts]).mean() / x0.var()


def print_table(results: list[dict]) -> None:
    """A line for each choice, the best first."""
    columns = " ".join(f"{ratio:7}" for ratio in RATIOS)
    print(f"{'noise / signal':<16} {columns}  mean of logs  steps  millions")
    for result in sorted(results, key=lambda result: np.log(result["errors"]).mean()):
        columns = " ".join(f"{each:7.4f}" for each in result["errors"])
        mean = np.log(result["errors"]).mean()
        print(f"{result['choice']:<16} {columns}  {mean:12.3f}  {result['steps']:5}  {result['millions']:8.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
