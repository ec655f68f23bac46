"""The mode that judges: evaluate."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ml_collections import ConfigDict
from tqdm import tqdm

import sdedit_jax
from sdedit_jax import disk, distributed
from sdedit_jax.cli.models import data_folder, even_batches, load_model, spread_over_cores
from sdedit_jax.cli.results import check_writable, require_positive, require_shared

if TYPE_CHECKING:
    from sdedit_jax.baselines.gan import GAN
    from sdedit_jax.data.pipeline import RandomAccessSource
    from sdedit_jax.evaluation.trials import Plan
    from sdedit_jax.weights import Loaded

BATCH_OF_REAL = 64  # pictures, of which features are computed at a time
Pictures = Callable[[Sequence[int]], np.ndarray]


def evaluate(config: ConfigDict, out: Path) -> None:
    """Edits held-out pictures in all the ways of `config.evaluation`, measures them, and writes a report into `out`.

    Started again it goes on where it was. ValueError for whatever keeps it from that, before anything is edited.
    """
    settings = config.evaluation
    require_positive(settings, ("num_images", "num_real", "num_shown"))
    check_writable(out)
    if settings.split == "train":
        raise ValueError("config.evaluation.split must be held out, but the model has learned from train.")
    plan = _plan(config)
    from sdedit_jax import evaluation
    from sdedit_jax.build import build_solver
    from sdedit_jax.evaluation import measuring, report, results, running
    from sdedit_jax.evaluation.methods import Methods

    spread_over_cores()
    loaded = load_model(config)
    solver, gan = build_solver(config), _gan(config, loaded.image_size)
    trials = evaluation.plan(dataclasses.replace(plan, gan=_digest(gan[0])[:8] if gan else None))
    methods = Methods(loaded.params, model=loaded.model, sde=loaded.sde, solver=solver, gan=gan)
    folder = data_folder(config)
    pictures, count = _spread(config, folder, settings.split, settings.num_images, loaded.image_size)
    real, num_real = _spread(config, folder, "train", settings.num_real, loaded.image_size)
    measuring.check_measurable(count, num_real, loaded.image_size)
    batches = even_batches(count, (loaded.image_size, loaded.image_size))
    distributed.require_same(len(batches[0]), "The number of pictures that the devices take at a time")
    job = running.Evaluation(out, pictures, batches, methods, settings.num_shown)
    with _kept(out):
        measures = None
        if distributed.is_first():
            shown = {"held-out": (pictures, count), "real": (real, num_real)}
            running.require_same_settings(out, _common_settings(config, loaded, shown))
            batches_of_real = lambda: _in_batches(real, num_real)  # noqa: E731
            measures = evaluation.Measures.load(settings.networks, batches_of_real, out / "real", loaded.image_size)
        distributed.wait_for_all()
        require_shared(out, "settings.json", "--out")
        named = {"model": config.weights, "solver": repr(solver), "num_real": num_real}
        with tqdm(total=running.remaining(job, trials), unit="batch", disable=not distributed.is_first()) as bar:

            def progress(trial):
                bar.set_description(f"{trial.method} on {trial.guides}")
                bar.update(1)

            try:
                for _ in evaluation.evaluate(job, trials, measures, named, progress=progress):
                    results.write(out, running.read_rows(out, trials))
            finally:  # whatever ends it, what there is can be looked at
                if distributed.is_first() and (rows := running.read_rows(out, trials)):
                    report.write(out, rows)
    print(f"Rows: {len(trials)}, pictures in each: {count}. Open {(out / 'report.html').resolve()}")


def _kept(out: Path) -> contextlib.AbstractContextManager[None]:
    """Keeps `out` for this run while the block runs; EvaluationError if another one has it."""
    from sdedit_jax.evaluation import EvaluationError

    if not distributed.is_first():
        return contextlib.nullcontext()
    advice = "wait for it, stop it, or choose another --out."
    return disk.alone_in(out, lambda holder: EvaluationError(f"{holder} evaluates in {out}: {advice}"))


def _plan(config: ConfigDict) -> "Plan":
    """What is tried, checked."""
    from sdedit_jax.evaluation.trials import INVERSION, Plan

    settings, editing = config.evaluation, config.editing
    names = ("experiments", "baselines", "t0s", "colors", "repeats", "steps")
    lists: dict[str, Any] = {name: tuple(settings[name]) for name in names}
    if not settings.gan and any(name in settings.baselines for name in INVERSION):
        raise ValueError(
            "The baselines gan-1 and gan-2 need config.evaluation.gan, the file of a GAN of these pictures "
            "(python -m sdedit_jax.baselines.gan trains one), or leave them out of config.evaluation.baselines."
        )
    return Plan(
        t0=editing.t0,
        num_steps=editing.num_steps,
        num_repeats=editing.num_repeats,
        seed=config.seed,
        **lists,
    )


def _gan(config: ConfigDict, image_size: int) -> "tuple[Any, GAN] | None":
    """Params and networks of `config.evaluation.gan`, None if it is empty."""
    from sdedit_jax.baselines.gan import files

    name = config.evaluation.gan
    if not name:
        return None
    params, gan = files.load() if name == "landscapes" else files.load(name)
    if gan.generator.image_size != image_size:
        raise ValueError(
            f"The GAN {name} is of {gan.generator.image_size} pixels, the model {config.weights} of {image_size}: set "
            "config.evaluation.gan to '' and leave gan-1 and gan-2 out of config.evaluation.baselines."
        )
    return params, gan


def _spread(config: ConfigDict, folder: Path, split: str, most: int, image_size: int) -> tuple[Pictures, int]:
    """At most so many pictures of a split, taken evenly from all of it: number -> bytes, and how many there are."""
    from sdedit_jax.data import pipeline

    source: RandomAccessSource = pipeline.open_source(folder, split, image_size, config.data.fit)
    shape = np.shape(source[0]["image"])
    if shape[:2] != (image_size, image_size):
        raise ValueError(
            f"The model {config.weights} is of {image_size} pixels, but the pictures in {folder} are {shape[1]} x "
            f"{shape[0]}: prepare them at its size."
        )
    count = min(most, len(source))

    def pictures(numbers: Sequence[int]) -> np.ndarray:
        return np.stack([source[number * len(source) // count]["image"] for number in numbers])

    return pictures, count


def _in_batches(pictures: Pictures, count: int) -> Iterator[np.ndarray]:
    for start in range(0, count, BATCH_OF_REAL):
        yield pictures(range(start, min(start + BATCH_OF_REAL, count)))


def _common_settings(
    config: ConfigDict, loaded: "Loaded", pictures: Mapping[str, tuple[Pictures, int]]
) -> dict[str, Any]:
    """What all rows of one folder have in common; the contents of files count, not their names."""
    from sdedit_jax.metrics.features import fingerprint

    return {
        "sdedit_jax": sdedit_jax.__version__,
        "model (SHA-256 of its parameters)": _digest(loaded.params),
        "network": repr(loaded.model),
        "SDE": repr(loaded.sde),
        "solver": config.solver.to_dict(),
        "networks": list(config.evaluation.networks),
        "number of pictures kept": config.evaluation.num_shown,
        **{f"number of {name} pictures": count for name, (_, count) in pictures.items()},
        **{f"{name} pictures (SHA-256)": fingerprint(_in_batches(*of)) for name, of in pictures.items()},
    }


def _digest(params: Any) -> str:
    import jax

    digest = hashlib.sha256()
    for path, leaf in jax.tree.leaves_with_path(params):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()
