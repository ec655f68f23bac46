"""The modes that make pictures: edit and sample."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

import sdedit_jax
from sdedit_jax import images, sheets
from sdedit_jax.cli.results import check_writable, require_positive, settings_of, write_json

if TYPE_CHECKING:
    import flax.linen as nn
    import jax

    from sdedit_jax.sdes import SDE
    from sdedit_jax.weights import Loaded

ASSETS = Path(__file__).parents[1] / "assets"
EXAMPLES = (ASSETS / "guides", ASSETS / "edits")
MAX_BATCH = 16  # pictures at a time: what 64 x 64 edits need of memory is then small on any machine
SHEET_SIZE = 256  # pixels, the longest that the shorter side of a picture on a contact sheet gets
SHEET_COLUMNS = 8

EditFn = Callable[..., "jax.Array"]


def edit(config: ConfigDict, out: Path) -> None:
    """Edits every guide and writes all candidates, a contact sheet and the settings into `out`.

    ValueError for whatever is wrong with settings and pictures, before JAX is imported or anything written.
    """
    settings = config.editing
    if not 0.0 < settings.t0 <= 1.0:
        raise ValueError(f"t0 must be in (0, 1] (0 = keep the guide, 1 = ignore it), got {settings.t0}.")
    require_positive(settings, ("num_samples", "num_steps", "num_repeats"))
    pairs = find_guides(settings.guide, settings.mask)
    if len(pairs) > 1 and out.resolve() in {guide.parent.resolve() for guide, _ in pairs}:
        raise ValueError(f"--out {out} is the folder of the guides, which results would join. Choose another folder.")
    for pair in pairs:
        _check_pair(*pair)
    check_writable(out)

    loaded = load_model(config)
    batches = len(list(_batches(settings.num_samples)))
    total = len(pairs) * batches * settings.num_steps * settings.num_repeats
    with tqdm(total=total, unit="step") as bar:
        run = bind_edit(config, loaded.model, loaded.sde, progress=bar.update)
        for guide, mask in pairs:
            bar.set_description(guide.stem)
            _edit_one(config, loaded, run, guide, mask, out)
    print(f"Guides: {len(pairs)}, candidates of each: {settings.num_samples}, written to {out.resolve()}")


def sample(config: ConfigDict, out: Path) -> None:
    """Draws pictures from the model without any guide and writes them and a contact sheet into `out`."""
    require_positive(config.sampling, ("num_samples", "num_steps"))
    check_writable(out)
    loaded = load_model(config)

    import jax

    from sdedit_jax import keys
    from sdedit_jax.build import build_solver
    from sdedit_jax.parallel import pmap_batch

    run = pmap_batch(
        functools.partial(
            sdedit_jax.sample,
            image_shape=(loaded.image_size, loaded.image_size, 3),
            model=loaded.model,
            sde=loaded.sde,
            solver=build_solver(config),
            num_steps=config.sampling.num_steps,
        )
    )
    num_samples = config.sampling.num_samples
    image_keys = keys.per_image(jax.random.key(config.seed), num_samples)
    batches = tqdm(list(_batches(num_samples)), desc="Sampling", unit="batch")
    x = np.concatenate([np.asarray(run(loaded.params, image_keys[batch])) for batch in batches])
    fields = settings_of(config, ("seed", "weights", "solver", "sampling"))
    for index, picture in enumerate(x):
        images.save_image(out / f"sample_{index:02d}.png", picture, fields | {"sample": index})
    rows = [list(x[start : start + SHEET_COLUMNS]) for start in range(0, num_samples, SHEET_COLUMNS)]
    captions = [[f"{SHEET_COLUMNS * i + j:02d}" for j in range(len(row))] for i, row in enumerate(rows)]
    images.save_image(out / "samples.png", sheets.contact_sheet(rows, captions), fields)
    print(f"Pictures: {num_samples}, written to {out.resolve()}")


def find_guides(guide: str, mask: str) -> list[tuple[Path, Path | None]]:
    """The guides to edit and the mask of each, sorted; ImageError for what is missing or ambiguous.

    `guide`: a picture, a folder, or "" for the shipped examples. `mask`: a picture, or for a folder of guides a folder
    with a mask of every guide's name; if it is "", X_mask.png beside X is the mask of X, and no guide.
    """
    if not guide:
        if mask:
            raise ValueError("--mask needs --guide, the picture or folder that it is for.")
        return [pair for folder in EXAMPLES for pair in _with_masks(images.list_images(folder))]
    path = Path(guide).expanduser()
    if mask:
        mask_path = Path(mask).expanduser()
        return list(images.pair_masks(path, mask_path)) if path.is_dir() else [(path, mask_path)]
    return _with_masks(images.list_images(path) if path.is_dir() else [path])


def load_model(config: ConfigDict) -> "Loaded":
    """The model of `config.weights`, with the compiled programs of earlier runs at hand."""
    if not config.weights:
        raise ValueError("No model: set --config.weights to a .safetensors file, a training folder or a bundled model.")
    import jax

    from sdedit_jax import weights

    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sdedit_jax" / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    return weights.load(config.weights)


def bind_edit(
    config: ConfigDict, model: "nn.Module", sde: "SDE", progress: Callable[[int], Any] = lambda num_steps: None
) -> EditFn:
    """(params, key, x_guide, mask=None) -> x_edit with the config's settings, on all local devices.

    `progress` is called with the number of solver steps that have been done since it was called last.
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
            progress(piece.steps_done - done)
            done = piece.steps_done
        return piece.estimate()

    run_on_all = pmap_batch(functools.partial(sdedit_jax.sdedit, **fields))

    def edit_on_all(params, key, x_guide, mask=None):
        x_edit = run_on_all(params, key, x_guide, mask, settings.t0)
        progress(settings.num_steps * settings.num_repeats)
        return x_edit

    return edit_in_pieces if jax.local_device_count() == 1 else edit_on_all


def _edit_one(config: ConfigDict, loaded: "Loaded", run: EditFn, guide: Path, mask: Path | None, out: Path) -> None:
    """Edits one guide and writes what came of it."""
    import jax

    from sdedit_jax import keys

    x_guide, x_mask = _load_pair(guide, mask)
    size, multiple = loaded.image_size, loaded.model.downsampling_factor
    x_fitted = images.fit_to_model(x_guide, size, multiple)
    mask_fitted = images.fit_mask_to_model(x_mask, size, multiple)
    # A candidate's noise depends on the seed and its number alone: a guide gives the same pictures in any folder.
    image_keys = keys.per_image(jax.random.key(config.seed), config.editing.num_samples)
    candidates = []
    for batch in _batches(config.editing.num_samples):
        x_batch = np.repeat(x_fitted[None], image_keys[batch].size, axis=0)
        x_edit = np.asarray(run(loaded.params, image_keys[batch], x_batch, mask_fitted[None]))
        candidates.extend(images.restore_size(x, x_guide, x_mask) for x in x_edit)

    fields = settings_of(config, ("seed", "weights", "solver", "editing"))
    fields["editing"] |= {"guide": str(guide), "mask": str(mask or "")}
    for index, candidate in enumerate(candidates):
        images.save_image(out / f"{guide.stem}_{index:02d}.png", candidate, fields | {"candidate": index})
    columns = {"guide": _on_sheet(x_guide)}
    if mask is not None:
        columns["mask"] = _on_sheet(x_mask)
    columns[f"t0 = {config.editing.t0:g}"] = _noised(config, loaded, x_fitted)
    columns |= {f"{index:02d}": _on_sheet(candidate) for index, candidate in enumerate(candidates)}
    sheet = sheets.contact_sheet([list(columns.values())], [list(columns)])
    images.save_image(out / f"{guide.stem}_sheet.png", sheet, fields)
    write_json(out / f"{guide.stem}.json", fields)


def _noised(config: ConfigDict, loaded: "Loaded", x: np.ndarray) -> np.ndarray:
    """A draw of what the guide `x` (H, W, 3) is like at t0, where the reverse SDE starts, scaled to be shown."""
    import jax
    import jax.numpy as jnp

    t0 = jnp.float32(config.editing.t0)
    x_t0 = jax.jit(loaded.sde.perturb)(jax.random.key(config.seed), x[None], t0)[0]
    return np.asarray(x_t0 / (loaded.sde.alpha(t0) + loaded.sde.sigma(t0)))


def _on_sheet(picture: np.ndarray) -> np.ndarray:
    """A picture or mask (H, W, C), made smaller if it is too large for a contact sheet."""
    fit = images.fit_to_model if picture.shape[-1] == 3 else images.fit_mask_to_model
    return fit(picture, min(*picture.shape[:2], SHEET_SIZE), 1)


def _with_masks(paths: list[Path]) -> list[tuple[Path, Path | None]]:
    """Each picture with the mask beside it, without the pictures that are such masks."""
    masks = {path: path.with_name(f"{path.stem}_mask.png") for path in paths}
    guides = [path for path in paths if path not in masks.values()]
    stems = [path.stem for path in guides]
    for path in guides:
        if stems.count(path.stem) > 1:
            raise images.ImageError(f"Two pictures in {path.parent} are called {path.stem}: rename one of them.")
    return [(path, masks[path] if masks[path].is_file() else None) for path in guides]


def _check_pair(guide: Path, mask: Path | None) -> None:
    """ImageError naming the file if the pair cannot be edited."""
    x_guide, _ = _load_pair(guide, mask)
    try:
        images.fit_to_model(x_guide[..., :1], 1, 1)
    except images.ImageError as error:  # it knows the picture, not the file
        raise images.ImageError(f"{guide}: {error}") from error


def _load_pair(guide: Path, mask: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Guide (H, W, 3) and mask (H, W, 1), all white if there is none."""
    x_guide = images.load_image(guide)
    if mask is None:
        return x_guide, np.ones((*x_guide.shape[:2], 1), np.float32)
    return x_guide, images.load_mask(mask, (x_guide.shape[0], x_guide.shape[1]))


def _batches(total: int) -> Iterator[slice]:
    for start in range(0, total, MAX_BATCH):
        yield slice(start, min(start + MAX_BATCH, total))
