"""Trial after trial: every guide is edited, the edits are measured, a row is written.

The folder of an evaluation, of which nothing is ever half a file:

    settings.json    what all rows have in common; a folder is of one model, one data set and one way of measuring
    real/            features of the real pictures
    guides/GUIDES/   batches of guides, as .npz
    edits/TRIAL/     batches of edits, as .npy, until the trial is measured
    rows/TRIAL.json  a finished trial
    shown/TRIAL/     its first pictures; those of the guides are in shown/GUIDES/
    pictures/TASK/   `guides` and a folder for each method of the main comparison, as a survey takes them

Whatever interrupts an evaluation, the same call goes on after the last finished batch.
"""

import dataclasses
import itertools
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sdedit_jax import disk, distributed
from sdedit_jax.evaluation.errors import EvaluationError
from sdedit_jax.evaluation.measuring import Measures, as_fields
from sdedit_jax.evaluation.tasks import Guides, make_guides
from sdedit_jax.evaluation.trials import Trial
from sdedit_jax.images import save_image
from sdedit_jax.pixels import from_uint8, to_uint8

MAIN = {"synthesis": "strokes", "editing": "editing", "compositing": "compositing"}  # experiments of the survey
_PICTURES = ("x_guide", "x_background", "x_foreground")  # of `Guides`


class EditFn(Protocol):
    """A method: edits of the guides whose numbers in the data set are `numbers`."""

    def __call__(self, trial: Trial, guides: Guides, numbers: np.ndarray) -> np.ndarray:
        """(B, H, W, 3) float in [-1, 1]; each picture depends on its guide, its number and the trial alone."""
        ...


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is evaluated: held-out pictures in batches, how they are edited, and how the edits are measured."""

    out: Path
    pictures: Callable[[Sequence[int]], np.ndarray]
    """Numbers -> those held-out pictures (B, H, W, 3), bytes."""
    batches: Sequence[range]
    """The numbers of all pictures, in batches."""
    edit: EditFn
    num_shown: int
    """How many pictures of each trial are kept as such, for the report and for a survey."""

    @property
    def count(self) -> int:
        """The number of pictures."""
        return self.batches[-1].stop


def evaluate(
    evaluation: Evaluation,
    trials: Mapping[Trial, Sequence[str]],
    measures: Measures | None,
    common: Mapping[str, Any],
    *,
    progress: Callable[[Trial], Any] = lambda trial: None,
) -> Iterator[dict[str, Any]]:
    """The rows of all `trials` (trial -> its experiments), each when it is made; those in `evaluation.out` at once.

    Every process edits its share of the batches; process 0 measures, needs `measures`, and is the one that gets rows.
    `common`: fields that every row carries. `progress` is called after every batch.
    """
    for trial, experiments in trials.items():
        if not _row_path(evaluation.out, trial).exists():
            _edit_all(evaluation, trial, progress)
            distributed.wait_for_all()
            if distributed.is_first():
                assert measures is not None
                _measure(evaluation, trial, measures, common)
            distributed.wait_for_all()
        if distributed.is_first():
            _gather_survey(evaluation, trial, experiments)
            yield _joined(evaluation.out, trial, experiments)


def read_rows(out: Path, first: Iterable[Trial]) -> list[dict[str, Any]]:
    """All rows in `out`: those of `first` that are finished, in their order, then the others."""
    paths = [path for path in (_row_path(out, trial) for trial in first) if path.exists()]
    others = sorted(path for path in (out / "rows").glob("[!.]*.json") if path not in set(paths))
    return [_read_json(path) for path in (*paths, *others)]


def remaining(evaluation: Evaluation, trials: Mapping[Trial, Any]) -> int:
    """The number of batches that this process still has to edit."""
    return sum(
        not (_row_path(evaluation.out, trial).exists() or _edit_path(evaluation, trial, batch).exists())
        for trial in trials
        for index, batch in enumerate(evaluation.batches)
        if distributed.is_mine(index)
    )


def require_same_settings(out: Path, settings: Mapping[str, Any]) -> None:
    """Writes `settings` into `out`, or compares them with those that are there.

    Raises EvaluationError, which names the first that differs: its rows could not be compared.
    """
    path = out / "settings.json"
    if not path.exists():
        return disk.write_json(path, settings)
    found = _read_json(path)
    wanted = json.loads(json.dumps(settings))
    for name in sorted(wanted.keys() | found.keys()):
        if found.get(name) != wanted.get(name):
            raise EvaluationError(
                f"{out} holds results of another {name}: {found.get(name)!r} instead of {wanted.get(name)!r}. Rows of "
                "one table must have it in common: choose another --out."
            )


def _joined(out: Path, trial: Trial, experiments: Sequence[str]) -> dict[str, Any]:
    """The row of a finished trial, which from now on belongs to `experiments` too."""
    path = _row_path(out, trial)
    row = _read_json(path)
    if not row.items() >= dataclasses.asdict(trial).items():
        raise EvaluationError(f"{path} is the row of something else: remove it, and start the same command again.")
    joined = list(dict.fromkeys([*row["experiments"], *experiments]))
    if joined != row["experiments"]:
        row["experiments"] = joined
        disk.write_json(path, row)
    return row


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} is damaged ({error}): remove it, and start the same command again.") from error


def _edit_all(evaluation: Evaluation, trial: Trial, progress: Callable[[Trial], Any]) -> None:
    """Edits this process's batches of those that are not there yet."""
    for index, batch in enumerate(evaluation.batches):
        path = _edit_path(evaluation, trial, batch)
        if distributed.is_mine(index) and not path.exists():
            # Filled up with its last row, so that nothing is compiled twice.
            rows = [min(row, batch[-1]) for row in range(batch.start, batch.start + len(evaluation.batches[0]))]
            guides = _guides(evaluation, trial, batch)
            numbers = np.array(rows)
            x_edit = evaluation.edit(trial, _rows_of(guides, numbers - batch.start), numbers)[: len(batch)]
            if not np.isfinite(x_edit).all():
                raise EvaluationError(
                    f"{trial.name}: {np.mean(~np.isfinite(x_edit)):.1%} of the pixels are not finite."
                )
            with disk.replacing(path) as temporary, open(temporary, "wb") as file:
                np.save(file, to_uint8(np.clip(x_edit, -1.0, 1.0)))
            progress(trial)


def _measure(evaluation: Evaluation, trial: Trial, measures: Measures, common: Mapping[str, Any]) -> None:
    """Writes the row of `trial` and its pictures, and removes its batches."""

    def batches() -> Iterator[tuple[Guides, np.ndarray]]:
        for batch in evaluation.batches:
            yield _guides(evaluation, trial, batch), _edits(evaluation, trial, batch)

    fields = as_fields(measures(batches))
    _write_shown(evaluation, trial, batches())
    row = dataclasses.asdict(trial) | {"count": evaluation.count} | dict(common) | fields
    disk.write_json(_row_path(evaluation.out, trial), row | {"experiments": []})
    shutil.rmtree(evaluation.out / "edits" / trial.name)


def _write_shown(evaluation: Evaluation, trial: Trial, batches: Iterator[tuple[Guides, np.ndarray]]) -> None:
    """The first edits and their guides as pictures."""
    shown = evaluation.out / "shown"
    pairs = (pair for guides, x_edit in batches for pair in zip(guides.x_guide, x_edit, strict=True))
    for number, (x_guide, x_edit) in enumerate(itertools.islice(pairs, evaluation.num_shown)):
        save_image(shown / trial.name / f"{number:04d}.png", from_uint8(x_edit))
        save_image(shown / trial.guides / f"{number:04d}.png", x_guide)


def _gather_survey(evaluation: Evaluation, trial: Trial, experiments: Sequence[str]) -> None:
    """Copies what is shown of a trial of a main comparison to where a survey looks for it."""
    shown, pictures = evaluation.out / "shown", evaluation.out / "pictures"
    for experiment in experiments:
        if experiment in MAIN and trial.method != "guide":  # people compare what was made of the guides
            folder = pictures / MAIN[experiment]
            shutil.copytree(shown / trial.guides, folder / "guides", dirs_exist_ok=True)
            shutil.copytree(shown / trial.name, folder / trial.method, dirs_exist_ok=True)


def _edits(evaluation: Evaluation, trial: Trial, batch: range) -> np.ndarray:
    path = _edit_path(evaluation, trial, batch)
    try:
        return np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise EvaluationError(f"{path} is damaged ({error}): remove it, and start the same command again.") from error


def _guides(evaluation: Evaluation, trial: Trial, batch: range) -> Guides:
    """Those of one batch, from their file, or made now where it is missing or damaged."""
    path = evaluation.out / "guides" / trial.guides / f"{_name(batch)}.npz"
    try:
        return _read_guides(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        made = _make_guides(evaluation, trial, batch)
        arrays = {name: to_uint8(getattr(made, name)) for name in _PICTURES}
        arrays["mask"] = np.zeros(0, bool) if made.mask is None else made.mask
        with disk.replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        return _read_guides(path)


def _read_guides(path: Path) -> Guides:
    with np.load(path) as file:
        pictures = {name: from_uint8(file[name]) for name in _PICTURES}
        return Guides(mask=file["mask"] if file["mask"].size else None, **pictures)


def _make_guides(evaluation: Evaluation, trial: Trial, batch: range) -> Guides:
    # What is painted or pasted comes from half the data set away: in a folder neighbours may be views of one place.
    half = evaluation.count // 2
    pictures = from_uint8(evaluation.pictures(batch))
    others = from_uint8(evaluation.pictures([(number + half) % evaluation.count for number in batch]))
    colors = {} if trial.num_colors is None else {"num_colors": trial.num_colors}
    return make_guides(trial.task, pictures, others, np.array(batch), **colors)


def _rows_of(guides: Guides, rows: np.ndarray) -> Guides:
    pictures = {name: getattr(guides, name)[rows] for name in _PICTURES}
    return Guides(mask=None if guides.mask is None else guides.mask[rows], **pictures)


def _row_path(out: Path, trial: Trial) -> Path:
    return out / "rows" / f"{trial.name}.json"


def _edit_path(evaluation: Evaluation, trial: Trial, batch: range) -> Path:
    return evaluation.out / "edits" / trial.name / f"{_name(batch)}.npy"


def _name(batch: range) -> str:
    """Of both ends: how long batches are depends on the devices, which may be others after an interruption."""
    return f"{batch.start:06d}-{batch.stop:06d}"
