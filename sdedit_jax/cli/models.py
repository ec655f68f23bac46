"""Models on this machine: loaded, bound to their settings, and fed as many pictures at a time as it holds."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

import sdedit_jax

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from sdedit_jax.sdes import SDE
    from sdedit_jax.weights import Loaded

# Pixels at a time on a device, for the memory it has: 16 pictures of 64 x 64, or of 256 x 256.
CPU_PIXELS = 16 * 64**2
ACCELERATOR_PIXELS = 16 * 256**2

EditFn = Callable[..., "jax.Array"]


def load_model(config: ConfigDict) -> "Loaded":
    """The model of `config.weights`, with the compiled programs of earlier runs at hand; prints what it assumed."""
    if not config.weights:
        raise ValueError("No model: set --config.weights to a file, a folder, an address or a name of weights.")
    import jax

    from sdedit_jax import weights

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sdedit_jax" / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        # Dozens of small programs lie around the large one, together seconds of compilation.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    loaded = weights.load(config.weights, assuming=config)
    tell_about(config.weights, loaded)
    return loaded


def tell_about(source: str, loaded: "Loaded") -> None:
    """Prints what there is to say about the model from `source`, and what was assumed of it."""
    for sentence in (*loaded.notes, *loaded.assumed.values()):
        print(f"{source}: {sentence}")
    if loaded.assumed:
        print("What was assumed is taken from --config instead if that is of this very network.")


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


def even_batches(total: int, size_hw: tuple[int, int]) -> list[range]:
    """The numbers 0 to `total` - 1 in as few batches as fit the devices, all of one length except perhaps the last.

    `size_hw`: height and width of the pictures in pixels. One length because each is compiled for.
    """
    import jax

    pixels = CPU_PIXELS if jax.default_backend() == "cpu" else ACCELERATOR_PIXELS
    most = jax.local_device_count() * max(1, pixels // (size_hw[0] * size_hw[1]))
    num_batches = -(-total // most)
    length = -(-total // num_batches)
    return [range(start, min(start + length, total)) for start in range(0, total, length)]
