"""The mode sweep: guides edited at many t0, to choose one by eye or by how far it leads from the guide."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

import sdedit_jax
from sdedit_jax import disk, images, sheets
from sdedit_jax.cli import guides
from sdedit_jax.cli.models import even_batches, in_rounds, load_model, spread_over_cores
from sdedit_jax.cli.pictures import fit_pair, on_sheet
from sdedit_jax.cli.results import check_apart, check_writable, require_positive, settings_of

if TYPE_CHECKING:
    import jax

    from sdedit_jax.tuning import Chosen, EditFn
    from sdedit_jax.weights import Loaded


def sweep(config: ConfigDict, out: Path) -> None:
    """Edits every guide at each t0 of `config.sweep` with several seeds; writes a sheet and the distances into `out`.

    With `config.sweep.target_l2` it also finds the largest t0 whose first candidate is no farther from the guide.
    ValueError for whatever is wrong with settings and pictures, before JAX is imported or anything written.
    """
    _check(config)
    editing, settings = config.editing, config.sweep
    pairs = guides.find_guides(editing.guide, editing.mask, editing.examples)
    if len(pairs) > 1:
        check_apart(out, [guide for guide, _ in pairs])
    for pair in pairs:
        guides.check_pair(*pair)
    check_writable(out)
    spread_over_cores()
    loaded = load_model(config)
    edit_fn = _bind_edit(config, loaded)
    for pair in pairs:
        _sweep_one(config, loaded, edit_fn, pair, out)
    print(f"Guides: {len(pairs)}, t0: {len(settings.t0s)}, candidates: {settings.num_samples}, in {out.resolve()}")


def _check(config: ConfigDict) -> None:
    settings: Any = config.sweep
    if not settings.t0s or not all(0.0 < t0 <= 1.0 for t0 in settings.t0s):
        raise ValueError(f"t0s must be in (0, 1] (0 = keep the guide, 1 = ignore it), got {settings.t0s}.")
    if settings.target_l2 is not None and not settings.target_l2 > 0.0:
        raise ValueError(f"target_l2 must be more than 0, got {settings.target_l2}: an edit always changes something.")
    require_positive(settings, ("num_samples",))
    require_positive(config.editing, ("num_steps", "num_repeats"))


def _bind_edit(config: ConfigDict, loaded: "Loaded") -> "EditFn":
    """(params, keys, x_guide, mask, t0) -> x_edit of any number of guides, as many at a time as the devices hold."""
    import jax.numpy as jnp

    from sdedit_jax.build import build_solver
    from sdedit_jax.parallel import pmap_batch

    fields = dict(model=loaded.model, sde=loaded.sde, solver=build_solver(config))
    steps = dict(num_steps=config.editing.num_steps, num_repeats=config.editing.num_repeats)
    run = pmap_batch(functools.partial(sdedit_jax.sdedit, **fields, **steps))

    def edit_in_batches(params, key, x_guide, mask, t0) -> "jax.Array":
        batches = even_batches(len(x_guide), x_guide.shape[1:3])

        def edit_rows(rows: list[int]) -> "jax.Array":
            of = np.array(rows)
            return run(params, key[of], x_guide[of], mask, t0[of])

        x_edits = []
        with tqdm(total=len(x_guide), unit="edit", leave=False) as bar:
            for batch, x_edit in in_rounds(batches, edit_rows):
                x_edits.append(x_edit)
                bar.update(len(batch))
        return jnp.asarray(np.concatenate(x_edits))

    return edit_in_batches


def _sweep_one(config: ConfigDict, loaded: "Loaded", edit_fn: "EditFn", pair: guides.Pair, out: Path) -> None:
    """Writes NAME_sweep.png and NAME_sweep.json of one guide."""
    import jax
    import jax.numpy as jnp

    from sdedit_jax import keys, metrics, tuning

    settings: Any = config.sweep
    x_guide, mask = (jnp.asarray(x)[None] for x in fit_pair(loaded, pair))
    # The noise of `--mode edit`, so that a column is a candidate of it.
    image_keys = keys.per_image(jax.random.key(config.seed), settings.num_samples)
    x_guides = jnp.repeat(x_guide, settings.num_samples, axis=0)
    x_edits = np.asarray(tuning.sweep(loaded.params, image_keys, x_guides, mask, settings.t0s, edit_fn=edit_fn))
    distances = [metrics.l2(x_edit, np.asarray(x_guides)).tolist() for x_edit in x_edits]
    chosen = None
    if settings.target_l2 is not None:
        try:
            target = settings.target_l2
            key = jax.random.key(config.seed)  # candidate 0 has its first noise
            chosen = tuning.choose_t0(loaded.params, key, x_guide, mask, target, edit_fn=edit_fn)
        except ValueError as error:  # it knows the picture, not the file
            raise ValueError(f"{pair[0]}: {error}") from error
        print(f"{pair[0]}: t0 = {chosen.t0:.3f} is the largest of an L2 up to {target:g}: {chosen.l2:.2f}")
    fields = _fields(config, pair, distances, chosen)
    rows = [_first_row(np.asarray(x_guide[0]), np.asarray(mask[0]), chosen), *_rows(settings.t0s, x_edits, distances)]
    pictures = [[on_sheet(picture) for picture in row.values()] for row in rows]
    sheet = sheets.contact_sheet(pictures, [list(row) for row in rows])
    images.save_image(out / f"{pair[0].stem}_sweep.png", sheet, fields)
    disk.write_json(out / f"{pair[0].stem}_sweep.json", fields)


def _fields(
    config: ConfigDict, pair: guides.Pair, distances: list[list[float]], chosen: "Chosen | None"
) -> dict[str, Any]:
    """The settings, and what came of them."""
    fields = settings_of(config, ("seed", "weights", "solver", "editing", "sweep"))
    fields["editing"] |= {"guide": str(pair[0]), "mask": str(pair[1] or "")}
    tried = zip(fields["sweep"]["t0s"], distances, strict=True)
    fields["edits"] = [{"t0": t0, "candidate": i, "l2": l2} for t0, row in tried for i, l2 in enumerate(row)]
    if chosen is not None:
        fields["chosen"] = {"t0": chosen.t0, "candidate": 0, "l2": chosen.l2}
    return fields


def _first_row(x_guide: np.ndarray, mask: np.ndarray, chosen: "Chosen | None") -> dict[str, np.ndarray]:
    """What stands above the edits, by caption."""
    row = {"guide": x_guide}
    if (mask < 1).any():
        row["mask"] = mask
    if chosen is not None:
        row[f"t0 {chosen.t0:.3f}, L2 {chosen.l2:.2f}"] = np.asarray(chosen.x_edit[0])
    return row


def _rows(t0s: tuple[float, ...], x_edits: np.ndarray, distances: list[list[float]]) -> Iterator[dict[str, np.ndarray]]:
    """The edits (T, S, h, w, 3) of each t0, by caption."""
    for t0, x_row, row in zip(t0s, x_edits, distances, strict=True):
        yield {f"{i:02d}: t0 {t0:g}, L2 {l2:.2f}": x for i, (x, l2) in enumerate(zip(x_row, row, strict=True))}
