"""The pictures of docs/results: guides of an evaluation, not chosen, and what each method made of them.

python examples/results_sheets.py evaluated docs/results
"""

import dataclasses
import json
import sys
from pathlib import Path

from sdedit_jax import images, load_image, save_image, sheets
from sdedit_jax.evaluation.report.wording import METHODS
from sdedit_jax.evaluation.running import MAIN
from sdedit_jax.evaluation.trials import SDEDIT, Trial

NUM_PICTURES = 8


def main(evaluated: str, folder: str) -> None:
    """Writes a sheet of each task, and one of the sweep over t0."""
    for task in MAIN.values():
        of_task = Path(evaluated) / "pictures" / task
        methods = {word: path for name, word in METHODS.items() if (path := of_task / name).is_dir()}
        _write(f"{folder}/{task}.png", {"guide": of_task / "guides"} | methods)
    trials, shown = _of_t0(evaluated), Path(evaluated) / "shown"
    rows = {"guide": shown / trials[0].guides} | {f"t0 = {trial.t0}": shown / trial.name for trial in trials}
    _write(f"{folder}/t0_pictures.png", rows)


def _of_t0(evaluated: str) -> list[Trial]:
    """SDEdit's trials of that experiment, in the order of t0."""
    names = [field.name for field in dataclasses.fields(Trial)]
    rows = json.loads((Path(evaluated) / "results.json").read_text(encoding="utf-8"))
    of_t0 = [row for row in rows if "t0" in row["experiments"] and row["method"] == SDEDIT]
    return [Trial(*(row[name] for name in names)) for row in sorted(of_t0, key=lambda row: row["t0"])]


def _write(to: str, rows: dict[str, Path]) -> None:
    """One row for each folder, named above its first picture."""
    paths = [images.list_images(row)[:NUM_PICTURES] for row in rows.values()]
    pictures = [[load_image(path) for path in row] for row in paths]
    captions = [[name] + [""] * (len(row) - 1) for name, row in zip(rows, pictures, strict=True)]
    save_image(to, sheets.contact_sheet(pictures, captions))


if __name__ == "__main__":
    main(*sys.argv[1:])
