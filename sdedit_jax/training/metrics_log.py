"""What training measures, step by step: `metrics.jsonl`, and the end of a run that has nothing to measure."""

import contextlib
import json
import math
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sdedit_jax import disk
from sdedit_jax.training.errors import TrainingError
from sdedit_jax.training.tensorboard import TensorBoard


class MetricsLog:
    """A file of one JSON object a line, and the means over the steps since the last of them.

    `path` is the file, which may be there already, and `step` the one that training goes on from, which so many as
    `max_skipped_steps` in a row without a finite loss and gradient end. Rows go to `board` too.
    """

    def __init__(self, path: Path, step: int, max_skipped_steps: int, board: TensorBoard | None = None):
        self._path, self._step, self._max_skipped_steps, self._board = path, step, max_skipped_steps, board
        lines = _lines(path)
        rows = [row for line in lines if (row := _row(line)) is not None]
        if len(rows) < len(lines):
            warnings.warn(f"{path}: {len(lines) - len(rows)} of its lines are damaged and left out.", stacklevel=2)
        with disk.replacing(path) as temporary:
            # What came after the checkpoint is done, and logged, again.
            temporary.write_text("".join(_line(row) for row in rows if row["step"] <= step), encoding="utf-8")
        self._newest: dict[str, jax.Array] | None = None
        self._skipped_in_a_row = 0
        self._restart()

    def _restart(self) -> None:
        self._metrics: list[dict[str, float]] = []
        self._num_images = 0
        self._start = time.perf_counter()

    def add(self, metrics: dict[str, jax.Array], num_images: int) -> None:
        """One step's metrics, which may still be being computed; waits for those of the step before.

        Without the wait a CPU would queue dozens of steps, and the bar would run ahead of the work.

        Raises TrainingError if the step before was the last of too many in a row that were skipped.
        """
        self._read_newest()
        self._newest = metrics
        self._num_images += num_images

    def _read_newest(self) -> None:
        if self._newest is None:
            return
        metrics = {name: float(value) for name, value in self._newest.items()}
        self._newest = None
        self._step += 1
        self._metrics.append(metrics)
        self._skipped_in_a_row = self._skipped_in_a_row + 1 if metrics["skipped"] else 0
        if self._skipped_in_a_row == self._max_skipped_steps:
            raise TrainingError(
                f"{self._max_skipped_steps} steps in a row were skipped, and training does not recover: at step "
                f"{self._step} the loss is {metrics['loss']} and the norm of the gradient {metrics['grad_norm']}. "
                "Start again from the last checkpoint, or an earlier one if the loss rose before, with a lower "
                "--config.training.learning_rate or --config.training.grad_clip."
            )

    def write_means(self, step: int) -> dict[str, str]:
        """Writes the row of this interval, starts a new one and returns what the bar shows of it.

        The means are those of the steps that were not skipped, and left out if all were.
        """
        self._read_newest()
        done = [metrics for metrics in self._metrics if not metrics["skipped"]]
        names = ("loss", "grad_norm") if done else ()
        means = {name: float(np.mean([metrics[name] for metrics in done])) for name in names}
        speed = self._num_images / (time.perf_counter() - self._start)
        self.write({"step": step, **means, "skipped": len(self._metrics) - len(done), "images_per_second": speed})
        self._restart()
        return {"loss": f"{means.get('loss', np.nan):.4g}", "images_per_second": f"{speed:.4g}"}

    @contextlib.contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """What happens inside does not count as time spent on images."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def write(self, row: dict[str, Any]) -> None:
        """Appends `row`, with null for numbers that are not finite, which JSON has not."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_line(row))
        if self._board is not None:
            self._board.write(row)

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the run, the oldest first."""
        return [row for line in _lines(self._path) if (row := _row(line)) is not None]


def _lines(path: Path) -> list[str]:
    """The complete lines of the file; a run that was killed may have left half of one."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return text.split("\n")[:-1]


def _row(line: str) -> dict[str, Any] | None:
    """The row that a line is, None for one that is damaged, as by a loss of power."""
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("step"), int) else None


def _line(row: dict[str, Any]) -> str:
    return json.dumps({name: _finite(value) for name, value in row.items()}, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
