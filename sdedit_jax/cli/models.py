"""Models on this machine: loaded, bound to their settings, and fed as many pictures at a time as it holds."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict

import sdedit_jax
from sdedit_jax import disk, distributed

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from sdedit_jax.sdes import SDE
    from sdedit_jax.weights import Loaded

# Pixels at a time on a device, for the memory it has: 16 pictures of 64 x 64, or of 256 x 256.
CPU_PIXELS = 16 * 64**2
ACCELERATOR_PIXELS = 16 * 256**2
MOST_CPU_DEVICES = 8  # each holds a copy of the parameters

EditFn = Callable[..., "jax.Array"]
SampleFn = Callable[..., "jax.Array"]


def load_model(config: ConfigDict) -> "Loaded":
    """The model of `config.weights`, with the programs compiled by earlier runs at hand; prints what it assumed."""
    if not config.weights:
        raise ValueError("No model: set --config.weights to a file, a folder, an address or a name of weights.")
    from sdedit_jax import weights

    keep_compiled()
    loaded = weights.load(config.weights, assuming=config)
    tell_about(config.weights, loaded)
    return loaded


def keep_compiled() -> None:
    """Lets JAX keep compiled programs for later runs in the user's cache folder, unless it was told another."""
    import jax

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", str(disk.cache_folder() / "compiled"))
        # Dozens of small programs lie around the large one, together seconds of compilation.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)


def spread_over_cores() -> None:
    """Makes each core of the CPU a device of its own, among which `pmap_batch` shares a batch.

    One program on all cores leaves them waiting for each other after every layer; as devices two cores make 1.6 times
    as many pictures. Without effect where JAX has started or was told a number, and on the devices of accelerators.
    """
    import jax

    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    with contextlib.suppress(RuntimeError):  # JAX has started, as it has where processes are connected
        jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, MOST_CPU_DEVICES))


def tell_about(source: str, loaded: "Loaded") -> None:
    """Prints what there is to say about the model from `source`, and what was assumed of it."""
    for sentence in (*loaded.notes, *loaded.assumed.values()):
        print(f"{source}: {sentence}")
    if loaded.assumed:
        print("What was assumed is taken from --config instead if that is of this very network.")


def data_folder(config: ConfigDict) -> Path:
    """The prepared data set of the config: the landscapes, or any TFDS folder given as `config.data.source`."""
    if config.data.source != "landscapes":
        return Path(config.data.source).expanduser()
    from sdedit_jax.data.landscapes.builder import landscapes_folder

    return landscapes_folder(config.data.dir, config.data.image_size)


def bind_edit(
    config: ConfigDict, model: "nn.Module", sde: "SDE", progress: Callable[[int], Any] = lambda image_steps: None
) -> EditFn:
    """(params, key, x_guide, mask=None) -> x_edit with the config's settings, on all local devices.

    `progress` is called with the solver steps done since it was called last, each counted once for every picture.
    """
    import jax

    from sdedit_jax.build import build_solver
    from sdedit_jax.parallel import pmap_batch

    settings = config.editing
    fields = dict(
        model=model,
        sde=sde,
        solver=build_solver(config),
        num_steps=settings.num_steps,
        num_repeats=settings.num_repeats,
    )

    def edit_in_pieces(params, key, x_guide, mask=None):
        done = 0
        for piece in sdedit_jax.sdedit_stream(params, key, x_guide, mask, settings.t0, **fields):
            progress((piece.steps_done - done) * len(x_guide))
            done = piece.steps_done
        return piece.estimate()

    run_on_all = pmap_batch(functools.partial(sdedit_jax.sdedit, **fields))

    def edit_on_all(params, key, x_guide, mask=None):
        x_edit = run_on_all(params, key, x_guide, mask, settings.t0)
        progress(settings.num_steps * settings.num_repeats * len(x_guide))
        return x_edit

    return edit_in_pieces if jax.local_device_count() == 1 else edit_on_all


def bind_sample(config: ConfigDict, model: "nn.Module", sde: "SDE", image_size: int) -> SampleFn:
    """(params, key) -> x, a picture for each key, with the config's settings, on all local devices."""
    from sdedit_jax.build import build_solver
    from sdedit_jax.parallel import pmap_batch

    return pmap_batch(
        functools.partial(
            sdedit_jax.sample,
            image_shape=(image_size, image_size, 3),
            model=model,
            sde=sde,
            solver=build_solver(config),
            num_steps=config.sampling.num_steps,
        )
    )


def even_batches(total: int, size_hw: tuple[int, int]) -> list[range]:
    """The numbers 0 to `total` - 1 in as few batches as fit the devices, all of one length except perhaps the last.

    But no fewer than processes. `size_hw`: height and width of the pictures in pixels. One length because each is
    compiled for.
    """
    import jax

    pixels = CPU_PIXELS if jax.default_backend() == "cpu" else ACCELERATOR_PIXELS
    most = jax.local_device_count() * max(1, pixels // (size_hw[0] * size_hw[1]))
    num_batches = max(-(-total // most), min(total, jax.process_count()))
    length = -(-total // num_batches)
    return [range(start, min(start + length, total)) for start in range(0, total, length)]


def in_rounds(batches: list[range], run: Callable[[list[int]], "jax.Array"]) -> Iterator[tuple[range, np.ndarray]]:
    """Each batch with what `run` makes of its rows, in every process, though each process runs only one in a round.

    A batch that is shorter is filled up with its last row, so that nothing is compiled twice. The batches are those of
    one process, and a round is as long as there are processes: so nobody sees in the pictures how many there were.
    """
    import jax

    for start in range(0, len(batches), jax.process_count()):
        mine = batches[min(start + jax.process_index(), len(batches) - 1)]
        rows = [min(row, mine[-1]) for row in range(mine.start, mine.start + len(batches[0]))]
        x = distributed.gather(np.asarray(run(rows)))
        for batch, x_batch in zip(batches[start:], np.split(x, jax.process_count()), strict=False):
            yield batch, x_batch[: len(batch)]
