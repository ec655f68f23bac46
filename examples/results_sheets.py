"""The pictures of docs/results: guides of an evaluation, not chosen, and what each method made of them.

python examples/results_sheets.py evaluated docs/results
"""

import re
import sys
from pathlib import Path

from sdedit_jax import images, load_image, save_image, sheets
from sdedit_jax.evaluation.report.wording import METHODS

TASKS = ("strokes", "editing", "compositing")
NUM_PICTURES = 8


def main(evaluated: str, folder: str) -> None:
    """Writes a sheet of each task, and one of the sweep over t0."""
    for task in TASKS:
        of_task = Path(evaluated) / "pictures" / task
        methods = {word: path for name, word in METHODS.items() if (path := of_task / name).is_dir()}
        _write(f"{folder}/{task}.png", {"guide": of_task / "guides"} | methods)
    shown = Path(evaluated) / "shown"
    of_t0 = sorted(shown.glob("strokes-6_sdedit_t0-*_steps-25_repeats-1_seed-0"), key=_t0)
    rows = {"guide": shown / "strokes-6"} | {f"t0 = {_t0(path)}": path for path in of_t0}
    _write(f"{folder}/t0_pictures.png", rows)


def _t0(path: Path) -> float:
    return float(re.findall(r"_t0-([\d.]+)_", path.name)[0])


def _write(to: str, rows: dict[str, Path]) -> None:
    """One row for each folder, named above its first picture."""
    paths = [images.list_images(row)[:NUM_PICTURES] for row in rows.values()]
    pictures = [[load_image(path) for path in row] for row in paths]
    captions = [[name] + [""] * (len(row) - 1) for name, row in zip(rows, pictures, strict=True)]
    save_image(to, sheets.contact_sheet(pictures, captions))


if __name__ == "__main__":
    main(*sys.argv[1:])
