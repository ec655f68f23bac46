"""The modes that make pictures: edit and sample."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

from sdedit_jax import disk, distributed, images, sheets
from sdedit_jax.cli import guides
from sdedit_jax.cli.guides import Pair
from sdedit_jax.cli.models import EditFn, bind_edit, bind_sample, even_batches, in_rounds, load_model, spread_over_cores
from sdedit_jax.cli.results import check_apart, check_writable, require_positive, settings_of

if TYPE_CHECKING:
    from sdedit_jax.weights import Loaded

SHEET_SIZE = 256  # pixels, the longest that the shorter side of a picture on a contact sheet gets
SHEET_COLUMNS = 8


def edit(config: ConfigDict, out: Path) -> None:
    """Edits every guide and writes all candidates, a contact sheet and the settings into `out`.

    ValueError for whatever is wrong with settings and pictures, before JAX is imported or anything written.
    """
    settings = config.editing
    if not 0.0 < settings.t0 <= 1.0:
        raise ValueError(f"t0 must be in (0, 1] (0 = keep the guide, 1 = ignore it), got {settings.t0}.")
    require_positive(settings, ("num_samples", "num_steps", "num_repeats"))
    pairs = guides.find_guides(settings.guide, settings.mask, settings.examples)
    if len(pairs) > 1:
        check_apart(out, [guide for guide, _ in pairs])
    sizes = {pair: guides.check_pair(*pair) for pair in pairs}
    check_writable(out)

    loaded = load_model(config)
    import jax

    alike: dict[tuple[int, int], list[Pair]] = {}
    for pair, size in sizes.items():
        fitted = images.model_size(size, loaded.image_size, loaded.model.downsampling_factor)
        alike.setdefault(fitted, []).append(pair)
    batches = {size: even_batches(len(group) * settings.num_samples, size) for size, group in alike.items()}
    num_rows = sum(math.ceil(len(group) / jax.process_count()) * len(group[0]) for group in batches.values())
    num_steps = num_rows * settings.num_steps * settings.num_repeats
    with tqdm(total=num_steps, unit="step", disable=not distributed.is_first()) as bar:
        run = bind_edit(config, loaded.model, loaded.sde, progress=bar.update)
        edited = itertools.chain.from_iterable(
            _edit_alike(config, loaded, run, group, batches[size]) for size, group in alike.items()
        )
        for number, (pair, x_edit) in enumerate(edited):
            bar.set_description(pair[0].stem)
            if distributed.is_mine(number):
                _write_edit(config, loaded, pair, x_edit, out)
    distributed.wait_for_all()
    print(f"Guides: {len(pairs)}, candidates of each: {settings.num_samples}, written to {out.resolve()}")


def sample(config: ConfigDict, out: Path) -> None:
    """Draws pictures from the model without any guide and writes them and a contact sheet into `out`."""
    require_positive(config.sampling, ("num_samples", "num_steps"))
    check_writable(out)
    spread_over_cores()
    loaded = load_model(config)

    import jax

    from sdedit_jax import keys

    run = bind_sample(config, loaded.model, loaded.sde, loaded.image_size)
    num_samples = config.sampling.num_samples
    image_keys = keys.per_image(jax.random.key(config.seed), num_samples)
    batches = even_batches(num_samples, (loaded.image_size, loaded.image_size))
    drawn = in_rounds(batches, lambda rows: run(loaded.params, image_keys[np.array(rows)]))
    bar = tqdm(drawn, total=len(batches), unit="batch", disable=not distributed.is_first())
    x = np.concatenate([x_batch for _, x_batch in bar])
    fields = settings_of(config, ("seed", "weights", "solver", "sampling"))
    for index, picture in enumerate(x):
        if distributed.is_mine(index):
            images.save_image(out / f"sample_{index:02d}.png", picture, fields | {"sample": index})
    rows = [list(x[start : start + SHEET_COLUMNS]) for start in range(0, num_samples, SHEET_COLUMNS)]
    captions = [[f"{SHEET_COLUMNS * i + j:02d}" for j in range(len(row))] for i, row in enumerate(rows)]
    if distributed.is_first():
        images.save_image(out / "samples.png", sheets.contact_sheet(rows, captions), fields)
    distributed.wait_for_all()
    print(f"Pictures: {num_samples}, written to {out.resolve()}")


def _edit_alike(
    config: ConfigDict, loaded: "Loaded", run: EditFn, pairs: list[Pair], batches: list[range]
) -> Iterator[tuple[Pair, np.ndarray]]:
    """Each guide with its candidates (num_samples, h, w, 3), of guides that have one size for the model.

    `batches` number the candidates of all of them; a batch may hold those of several guides.
    """
    import jax

    from sdedit_jax import keys

    # A candidate's noise depends on the seed and its number alone: a guide gives the same pictures in any folder.
    num_samples = config.editing.num_samples
    image_keys = keys.per_image(jax.random.key(config.seed), num_samples)
    done: list[np.ndarray] = []
    edited = 0

    def edit_rows(rows: list[int]) -> "jax.Array":
        fitted = {number: fit_pair(loaded, pairs[number]) for number in {row // num_samples for row in rows}}
        x_guide, mask = (np.stack([fitted[row // num_samples][i] for row in rows]) for i in (0, 1))
        return run(loaded.params, image_keys[np.array(rows) % num_samples], x_guide, mask)

    for _, x_edit in in_rounds(batches, edit_rows):
        done.extend(x_edit)
        while len(done) >= num_samples:
            yield pairs[edited], np.stack(done[:num_samples])
            del done[:num_samples]
            edited += 1


def fit_pair(loaded: "Loaded", pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Guide (h, w, 3) and mask (h, w, 1) at the model's size."""
    x_guide, mask = guides.load_pair(*pair)
    size, multiple = loaded.image_size, loaded.model.downsampling_factor
    return images.fit_to_model(x_guide, size, multiple), images.fit_mask_to_model(mask, size, multiple)


def _write_edit(config: ConfigDict, loaded: "Loaded", pair: Pair, x_edit: np.ndarray, out: Path) -> None:
    """Writes the candidates (num_samples, h, w, 3) of one guide at its own size, a contact sheet and the settings."""
    guide, mask = pair
    x_guide, x_mask = guides.load_pair(guide, mask)
    candidates = [images.restore_size(x, x_guide, x_mask) for x in x_edit]
    fields = settings_of(config, ("seed", "weights", "solver", "editing"))
    fields["editing"] |= {"guide": str(guide), "mask": str(mask or "")}
    for index, candidate in enumerate(candidates):
        images.save_image(out / f"{guide.stem}_{index:02d}.png", candidate, fields | {"candidate": index})
    columns = {"guide": on_sheet(x_guide)}
    if (x_mask < 1).any():
        columns["mask"] = on_sheet(x_mask)
    columns[f"t0 = {config.editing.t0:g}"] = _noised(config, loaded, fit_pair(loaded, pair)[0])
    columns |= {f"{index:02d}": on_sheet(candidate) for index, candidate in enumerate(candidates)}
    sheet = sheets.contact_sheet([list(columns.values())], [list(columns)])
    images.save_image(out / f"{guide.stem}_sheet.png", sheet, fields)
    disk.write_json(out / f"{guide.stem}.json", fields)


def _noised(config: ConfigDict, loaded: "Loaded", x: np.ndarray) -> np.ndarray:
    """A draw of what the guide `x` (H, W, 3) is like at t0, where the reverse SDE starts, scaled to be shown."""
    import jax
    import jax.numpy as jnp

    t0 = jnp.float32(config.editing.t0)
    x_t0 = jax.jit(loaded.sde.perturb)(jax.random.key(config.seed), x[None], t0)[0]
    return np.asarray(x_t0 / (loaded.sde.alpha(t0) + loaded.sde.sigma(t0)))


def on_sheet(picture: np.ndarray) -> np.ndarray:
    """A picture or mask (H, W, C), made smaller if it is too large for a contact sheet."""
    fit = images.fit_to_model if picture.shape[-1] == 3 else images.fit_mask_to_model
    return fit(picture, min(*picture.shape[:2], SHEET_SIZE), 1)
