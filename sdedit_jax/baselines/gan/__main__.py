"""Trains a GAN on 64 x 64 pictures, then its encoder, and writes both into one file; training goes on where it was.

python -m sdedit_jax.baselines.gan --data_dir DIR --workdir runs/landscapes_gan --num_steps 30000
python -m sdedit_jax.baselines.gan --stage encoder --data_dir DIR --workdir runs/landscapes_gan --num_steps 9000
python -m sdedit_jax.baselines.gan --stage export --workdir runs/landscapes_gan --out landscapes_gan.safetensors
"""

import argparse
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.baselines.gan import adversarial, encoding, files
from sdedit_jax.baselines.gan.inversion import GAN
from sdedit_jax.baselines.gan.networks import Discriminator, Encoder, Generator, apply
from sdedit_jax.baselines.gan.training import GRID_COLUMNS, TrainingError, train
from sdedit_jax.checkpoints import Checkpointer, CheckpointError
from sdedit_jax.data.pipeline import RandomAccessSource, eval_batches, open_source, train_batches
from sdedit_jax.data.sources.errors import DataError

NETWORKS = GAN(Generator(), Encoder())
DISCRIMINATOR = Discriminator()


def main() -> None:
    """Runs the stage that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, default="generator", help="what is done (default: generator)")
    parser.add_argument("--workdir", type=Path, required=True, help="the folder of the run")
    parser.add_argument("--data_dir", type=Path, help="a data set, as for --mode train; its pictures are 64 x 64")
    parser.add_argument("--num_steps", type=int, default=30_000, help="steps, counted from the first start on")
    parser.add_argument("--batch_size", type=int, default=16, help="pictures a step")
    parser.add_argument("--seed", type=int, default=0, help="of initial params, order and noise")
    parser.add_argument("--out", type=Path, default=files.LANDSCAPES, help="the file that `export` writes")
    arguments = parser.parse_args()
    if arguments.stage != "export" and arguments.data_dir is None:
        parser.error(f"--stage {arguments.stage} needs --data_dir, the folder of the pictures.")
    try:
        STAGES[arguments.stage](arguments)
    except (TrainingError, CheckpointError, DataError) as error:
        parser.exit(1, f"{error}\n")


def train_generator(arguments: argparse.Namespace) -> None:
    """Generator and discriminator, from nothing or from the newest checkpoint in the workdir."""
    generator = NETWORKS.generator
    key_init, key_train, key_watch = jax.random.split(jax.random.key(arguments.seed), 3)
    z = jax.random.normal(key_watch, (6 * GRID_COLUMNS, generator.w_dim))
    game_step = functools.partial(adversarial.game_step, generator=generator, discriminator=DISCRIMINATOR)
    steps = [jax.jit(functools.partial(game_step, regularize=flag)) for flag in (False, True)]
    train(
        arguments.workdir,
        initial=jax.jit(lambda: adversarial.init_state(key_init, generator, DISCRIMINATOR)),
        step_fn=lambda step, state, x: steps[step % adversarial.R1_EVERY == 0](state, key_train, x),
        batches_from=_batches_from(arguments),
        watch=jax.jit(lambda state: apply(generator, state.ema_generator, z)),
        num_steps=arguments.num_steps,
    )


def train_encoder(arguments: argparse.Namespace) -> None:
    """The encoder, in ``workdir/encoder``, for the newest generator in the workdir."""
    with Checkpointer(arguments.workdir) as checkpointer:
        generator_params = _on_device(checkpointer.restore_part("ema_generator"))
        discriminator_params = _on_device(checkpointer.restore_part("discriminator"))
    networks = {"generator": NETWORKS.generator, "encoder": NETWORKS.encoder}
    key_init, key_train = jax.random.split(jax.random.key(arguments.seed))
    held_out = next(eval_batches(_source(arguments, "validation"), 3 * GRID_COLUMNS))
    x = jnp.asarray(held_out[np.arange(3 * GRID_COLUMNS) % len(held_out)])

    @jax.jit
    def step_fn(state, x, generator_params, discriminator_params):
        params = generator_params, discriminator_params
        return encoding.encoder_step(state, key_train, x, *params, discriminator=DISCRIMINATOR, **networks)

    @jax.jit
    def watch(state):
        found = apply(NETWORKS.generator, state.generator, apply(NETWORKS.encoder, state.ema_encoder, x), "synthesize")
        rows = jnp.stack([part.reshape(-1, GRID_COLUMNS, *x.shape[1:]) for part in (x, found)], axis=1)
        return rows.reshape(-1, *x.shape[1:])

    train(
        arguments.workdir / "encoder",
        initial=jax.jit(lambda: encoding.init_state(key_init, generator_params, **networks)),
        step_fn=lambda step, state, x: step_fn(state, x, generator_params, discriminator_params),
        batches_from=_batches_from(arguments),
        watch=watch,
        num_steps=arguments.num_steps,
    )


def export(arguments: argparse.Namespace) -> None:
    """The averaged encoder and the generator that it was taught with, as one float16 file."""
    with Checkpointer(arguments.workdir / "encoder") as checkpointer:
        parts = {"generator": "generator", "encoder": "ema_encoder"}
        params = {name: checkpointer.restore_part(part) for name, part in parts.items()}
    files.save(arguments.out, params, NETWORKS)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


STAGES = {"generator": train_generator, "encoder": train_encoder, "export": export}


def _source(arguments: argparse.Namespace, split: str) -> RandomAccessSource:
    """The pictures of `split`, scaled to the generator's size; DataError for prepared ones of another size."""
    size = NETWORKS.generator.image_size
    source = open_source(arguments.data_dir, split, size)
    if (shape := source[0]["image"].shape) != (size, size, 3):
        raise DataError(f"The GAN makes {size} x {size} pictures, and those of {arguments.data_dir} are {shape[:2]}.")
    return source


def _batches_from(arguments: argparse.Namespace) -> Callable[[int], Iterator[np.ndarray]]:
    source = _source(arguments, "train")

    def batches_from(step: int) -> Iterator[np.ndarray]:
        return train_batches(source, batch_size=arguments.batch_size, seed=arguments.seed, start_step=step)

    return batches_from


def _on_device(params: dict[str, np.ndarray]) -> dict[str, jax.Array]:
    return jax.tree.map(jnp.asarray, params)


if __name__ == "__main__":
    main()
