"""The command line: one straight function for each mode.

`--help`, unknown flags, bad config fields and everything wrong with the pictures answer before JAX is imported; so the
modules that need it are imported inside the modes.
"""

import functools
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

import sdedit_jax
from sdedit_jax import images, sheets

if TYPE_CHECKING:
    from sdedit_jax.weights import Loaded

_CONFIG = config_flags.DEFINE_config_file(
    "config", "landscapes", "A config file, or the name of a shipped one; --config.x.y=VALUE overrides a field."
)
_MODE = flags.DEFINE_enum("mode", "edit", ["edit", "sample", "prepare", "train"], "What to do.")
_OUT = flags.DEFINE_string("out", "out", "Folder that edit and sample write to.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a training run: train writes it, edit and sample use it.")
_GUIDE = flags.DEFINE_string("guide", None, "Picture or folder to edit; the shipped examples if not given.")
_MASK = flags.DEFINE_string("mask", None, "Picture or folder of the guides' names; white = may change.")
_T0 = flags.DEFINE_float("t0", None, "In (0, 1]: small keeps to the guide, large is more realistic.", 0.0, 1.0)
_NUM_SAMPLES = flags.DEFINE_integer("num_samples", None, "Candidates for each guide, or pictures to sample.", 1)
_NUM_STEPS = flags.DEFINE_integer("num_steps", None, "Solver steps from t0 to 0.", 1)
_NUM_REPEATS = flags.DEFINE_integer("num_repeats", None, "How often the edit is repeated on its own result.", 1)
_SEED = flags.DEFINE_integer("seed", None, "The same seed and settings make the same pictures.", 0)

CONFIGS = [Path(__file__).parents[1] / "configs", Path(__file__).parent / "configs"]
EXAMPLE_GUIDES = Path(__file__).parent / "assets" / "guides"
MAX_BATCH = 16  # pictures at a time: what 64 x 64 edits need of memory is then small on any machine


def main() -> None:
    """The console script `sdedit` and `main.py`."""
    _register_configs()
    logging.set_verbosity(logging.WARNING)  # Orbax reports every file it touches; -v=0 shows that
    app.run(_run, [_resolve_config(argument, before) for before, argument in zip([""] + sys.argv, sys.argv)], _parse)


def edit(config: ConfigDict, out: Path) -> None:
    """Edits every guide and writes all candidates, a contact sheet and the settings into `out`."""
    settings = config.editing
    if not 0.0 < settings.t0 <= 1.0:
        raise ValueError(f"t0 must be in (0, 1] (0 = keep the guide, 1 = ignore it), got {settings.t0}.")
    pairs = _guides_and_masks(settings.guide, settings.mask)
    loaded_pairs = [(guide, mask, *_load_pair(guide, mask)) for guide, mask in pairs]
    _check_writable(out)

    loaded = _load_weights(config)
    fields = _settings(config, ("seed", "weights", "solver", "editing"))
    for guide, mask, x_guide, x_mask in loaded_pairs:
        fields |= {"guide": str(guide), "mask": str(mask) if mask else ""}
        candidates, x_start = _edit_one(config, loaded, x_guide, x_mask, guide.stem)
        for index, candidate in enumerate(candidates):
            images.save_image(out / f"{guide.stem}_{index:02d}.png", candidate, fields | {"candidate": index})
        row = [x_guide, x_mask, x_start, *candidates]
        captions = ["guide", "mask", f"t0 = {settings.t0:g}", *(f"{i:02d}" for i in range(len(candidates)))]
        images.save_image(out / f"{guide.stem}_sheet.png", sheets.contact_sheet([row], [captions]), fields)
        _write_json(out / f"{guide.stem}.json", fields)
    print(f"{len(pairs)} guides, {settings.num_samples} candidates each: {out.resolve()}")


def sample(config: ConfigDict, out: Path) -> None:
    """Draws pictures from the model without any guide and writes them and a contact sheet into `out`."""
    _check_writable(out)
    loaded = _load_weights(config)

    import jax

    from sdedit_jax.build import build_solver
    from sdedit_jax.parallel import pmap_batch

    size = loaded.image_size
    draw = functools.partial(
        sdedit_jax.sample,
        image_shape=(size, size, 3),
        model=loaded.model,
        sde=loaded.sde,
        solver=build_solver(config),
        num_steps=config.sampling.num_steps,
    )
    num_samples = config.sampling.num_samples
    run = pmap_batch(draw)
    keys = jax.random.split(jax.random.key(config.seed), num_samples)
    batches = _batches(num_samples, "Sampling")
    pictures = np.concatenate([np.asarray(run(loaded.params, keys[start:end])) for start, end in batches])
    fields = _settings(config, ("seed", "weights", "solver", "sampling"))
    for index, picture in enumerate(pictures):
        images.save_image(out / f"sample_{index:02d}.png", picture, fields | {"sample": index})
    rows = [list(pictures[start : start + 8]) for start in range(0, num_samples, 8)]
    captions = [[f"{8 * i + j:02d}" for j in range(len(row))] for i, row in enumerate(rows)]
    images.save_image(out / "samples.png", sheets.contact_sheet(rows, captions), fields)
    print(f"{num_samples} pictures: {out.resolve()}")


def prepare(config: ConfigDict) -> None:
    """Makes the data set of the config, unless it is there already."""
    from sdedit_jax.data.landscapes.builder import prepare_landscapes

    if config.data.source != "landscapes":
        raise ValueError(f"config.data.source must be landscapes to be prepared, got {config.data.source!r}.")
    print(f"Data set: {prepare_landscapes(config.data.dir, config.data.image_size)}")


def train(config: ConfigDict, workdir: Path) -> None:
    """Trains the model of the config in `workdir`, from its newest checkpoint on."""
    from sdedit_jax import build, checkpoints, training
    from sdedit_jax.data import pipeline
    from sdedit_jax.strokes import simulate_strokes

    folder = _data_folder(config)
    source = pipeline.open_source(folder, "train")
    validation = pipeline.open_source(folder, "validation")
    settings = config.training
    x_validation = next(pipeline.eval_batches(validation, settings.num_validation))
    loss_fn = build.build_loss(config)
    _check_writable(workdir)
    checkpoints.write_config(workdir, config.to_dict())
    training.train(
        workdir,
        loss_fn=loss_fn,
        tx=build.build_optimizer(config),
        ema_decay=settings.ema_decay,
        schedule=training.Schedule(
            settings.num_steps, settings.log_every, settings.checkpoint_every, settings.sample_every
        ),
        seed=config.seed,
        batches_from=lambda step: pipeline.train_batches(
            source, batch_size=settings.batch_size, seed=config.seed, start_step=step, flip=config.data.random_flip
        ),
        held_out=training.HeldOut(x_validation, simulate_strokes(x_validation[:8]), _bound_edit(config, loss_fn)),
    )
    print(f"Trained to step {settings.num_steps}: {workdir.resolve()}")


def _run(argv: list[str]) -> None:
    """The mode that the flags ask for; what a user can mend is one sentence and a non-zero exit."""
    if len(argv) > 1:
        raise app.UsageError(f"Every argument is a flag, --NAME VALUE; got {' '.join(argv[1:])}.")
    config = _merge_flags(_CONFIG.value)
    try:
        _MODES[_MODE.value](config)
    except (ValueError, OSError) as error:
        logging.debug("The error in full:", exc_info=True)
        sys.exit(f"error: {error}")


def _run_train(config: ConfigDict) -> None:
    if not _WORKDIR.value:
        raise ValueError("--mode train needs --workdir DIR, the folder of the run, for example runs/landscapes.")
    train(config, Path(_WORKDIR.value))


_MODES: dict[str, Callable[[ConfigDict], None]] = {
    "edit": lambda config: edit(config, Path(_OUT.value)),
    "sample": lambda config: sample(config, Path(_OUT.value)),
    "prepare": prepare,
    "train": _run_train,
}


def _merge_flags(config: ConfigDict) -> ConfigDict:
    """The config with the plain flags written into it; they win."""
    section = config.sampling if _MODE.value == "sample" else config.editing
    for flag in (_GUIDE, _MASK, _T0, _NUM_SAMPLES, _NUM_STEPS, _NUM_REPEATS):
        if flag.value is None:
            continue
        if flag.name not in section:
            raise app.UsageError(f"--{flag.name} means nothing in --mode {_MODE.value}.")
        section[flag.name] = flag.value
    if _SEED.value is not None:
        config.seed = _SEED.value
    if _WORKDIR.value:
        config.weights = _WORKDIR.value
    return config


def _edit_one(
    config: ConfigDict, loaded: "Loaded", x_guide: np.ndarray, mask: np.ndarray, name: str
) -> tuple[list[np.ndarray], np.ndarray]:
    """The candidates at the guide's own size, and the noised start of the first as the model sees it."""
    import jax

    from sdedit_jax import keys

    settings, multiple = config.editing, loaded.model.downsampling_factor
    size = loaded.image_size
    x_fitted = images.fit_to_model(x_guide, size, multiple)
    mask_fitted = images.fit_mask_to_model(mask, size, multiple)
    # A candidate's noise depends on the seed and its number alone: a guide gives the same pictures in any folder.
    image_keys = keys.per_image(jax.random.key(config.seed), settings.num_samples)
    run = _bound_edit(config, loaded, name)
    candidates = []
    for start in range(0, settings.num_samples, MAX_BATCH):
        batch_keys = image_keys[start : start + MAX_BATCH]
        x_batch = np.repeat(x_fitted[None], len(batch_keys), axis=0)
        candidates.extend(np.asarray(run(loaded.params, batch_keys, x_batch, mask_fitted[None])))
    x_start = loaded.sde.perturb(jax.random.clone(image_keys[:1]), x_fitted[None], np.float32(settings.t0))[0]
    x_start = np.asarray(x_start / (loaded.sde.alpha(settings.t0) + loaded.sde.sigma(settings.t0)))
    return [images.restore_size(candidate, x_guide, mask) for candidate in candidates], x_start


def _bound_edit(config: ConfigDict, loaded: Any, name: str = "") -> Callable[..., Any]:
    """(params, key, x_guide, mask) -> x_edit with the config's settings, under a bar if `name` is given."""
    import jax
    from tqdm import tqdm

    from sdedit_jax.build import build_solver
    from sdedit_jax.parallel import pmap_batch

    settings = config.editing
    fields = dict(
        model=loaded.model,
        sde=loaded.sde,
        solver=build_solver(config),
        num_steps=settings.num_steps,
        num_repeats=settings.num_repeats,
    )
    if jax.local_device_count() > 1:
        run = pmap_batch(functools.partial(sdedit_jax.sdedit, **fields))
        return lambda params, key, x_guide, mask=None: run(params, key, x_guide, mask, settings.t0)

    def edit_with_bar(params, key, x_guide, mask=None):
        with tqdm(total=settings.num_steps * settings.num_repeats, desc=name, unit="step", disable=not name) as bar:
            for progress in sdedit_jax.sdedit_stream(params, key, x_guide, mask, settings.t0, **fields):
                bar.update(progress.steps_done - bar.n)
        return progress.estimate()

    return edit_with_bar


def _load_weights(config: ConfigDict) -> "Loaded":
    """The model of the config, with the compiled programs of earlier runs at hand."""
    if not config.weights:
        raise ValueError("No model: set --config.weights to a .safetensors file, a training folder or landscapes.")
    import jax

    from sdedit_jax import weights

    if jax.config.jax_compilation_cache_dir is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "sdedit_jax" / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(cache))
    return weights.load(config.weights)


def _guides_and_masks(guide: str, mask: str) -> list[tuple[Path, Path | None]]:
    """The files of both, paired by name if they are folders."""
    guide_path = Path(guide).expanduser() if guide else EXAMPLE_GUIDES
    if mask and guide_path.is_dir():
        return list(images.pair_masks(guide_path, mask))
    guides = images.list_images(guide_path) if guide_path.is_dir() else [guide_path]
    if len({path.stem for path in guides}) < len(guides):
        raise ValueError(f"Two guides in {guide_path} have the same name but for the ending; results would collide.")
    return [(path, Path(mask).expanduser() if mask else None) for path in guides]


def _load_pair(guide: Path, mask: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Guide (H, W, 3) and mask (H, W, 1), all white if there is none."""
    x_guide = images.load_image(guide)
    if mask is None:
        return x_guide, np.ones((*x_guide.shape[:2], 1), np.float32)
    return x_guide, images.load_mask(mask, x_guide.shape[:2])


def _data_folder(config: ConfigDict) -> Path:
    """The prepared data set of the config: the landscapes, or any TFDS folder given as `config.data.source`."""
    if config.data.source != "landscapes":
        return Path(config.data.source).expanduser()
    from sdedit_jax.data.landscapes.builder import landscapes_folder

    return landscapes_folder(config.data.dir, config.data.image_size)


def _settings(config: ConfigDict, names: tuple[str, ...]) -> dict[str, Any]:
    """What has to be known to make the same pictures again."""
    chosen = {name: config[name].to_dict() if isinstance(config[name], ConfigDict) else config[name] for name in names}
    return {"sdedit_jax": sdedit_jax.__version__, **chosen}


def _check_writable(folder: Path) -> None:
    """Makes `folder` and proves that it can be written, before anything long is started."""
    probe = folder / f".writable-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ValueError(f"Cannot write into {folder}: {error.strerror}. Choose another folder.") from error


def _write_json(path: Path, fields: dict[str, Any]) -> None:
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(fields, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _batches(total: int, description: str) -> Iterator[tuple[int, int]]:
    """Start and end of each batch, under a bar."""
    from tqdm import tqdm

    for start in tqdm(range(0, total, MAX_BATCH), desc=description, unit="batch"):
        yield start, min(start + MAX_BATCH, total)


def _register_configs() -> None:
    """Makes the shipped configs importable as `configs`, from the repository or from inside the installed package."""
    folder = next(folder for folder in CONFIGS if (folder / "default.py").is_file())
    spec = importlib.util.spec_from_file_location(
        "configs", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules["configs"] = module
    spec.loader.exec_module(module)


def _resolve_config(argument: str, before: str) -> str:
    """The command-line argument, with the name of a shipped config replaced by its path."""
    prefix, name = ("", argument) if before in ("--config", "-config") else ("", "")
    if argument.startswith(("--config=", "-config=")):
        prefix, name = argument.split("=", 1)[0] + "=", argument.split("=", 1)[1]
    if not name or Path(name).is_file():
        return argument
    shipped = [folder / f"{Path(name).stem}.py" for folder in CONFIGS]
    return next((prefix + str(path) for path in shipped if path.is_file()), argument)


def _parse(argv: list[str]) -> list[str]:
    """The arguments that are not flags; a config that cannot be read is one sentence."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        sys.exit(f"error: {error}. --help lists the flags.")
    except (AttributeError, KeyError) as error:
        sys.exit(f"error: the config has no field {error}. configs/default.py lists all of them.")
    except OSError as error:
        known = ", ".join(sorted({path.stem for folder in CONFIGS for path in folder.glob("*.py")} - {"__init__"}))
        sys.exit(f"error: no such config. Give a file, or one of {known}.\n{error}")
