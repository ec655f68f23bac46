"""What training measures, step by step: `metrics.jsonl`, and the check that it is finite."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np


class TrainingError(ValueError):
    """Training that cannot go on."""


class MetricsLog:
    """A file of one JSON object a line, and the means over the steps since the last of them.

    `path` is the file, which may be there already, and `step` the one that training goes on from.
    """

    def __init__(self, path: Path, step: int):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        # What came after the checkpoint is done, and logged, again.
        kept = "".join(line + "\n" for line in _lines(path) if json.loads(line)["step"] <= step)
        partial = path.with_suffix(".part")
        partial.write_text(kept, encoding="utf-8")
        partial.replace(path)
        self._last: dict[str, jax.Array] = {}
        self._restart()

    def _restart(self) -> None:
        self._metrics: list[dict[str, jax.Array]] = []
        self._num_images = 0
        self._start = time.perf_counter()

    def add(self, metrics: dict[str, jax.Array], num_images: int) -> None:
        """One step's metrics, which may still be being computed; waits for those of the step before.

        Without the wait a CPU would queue dozens of steps, and the bar would run ahead of the work.
        """
        jax.block_until_ready(self._last)
        self._last = metrics
        self._metrics.append(metrics)
        self._num_images += num_images

    def check_finite(self, step: int) -> None:
        """Raises TrainingError if the newest loss or gradient is not finite; what was not before is not now either."""
        for name in sorted(self._last, reverse=True):  # the loss before the gradient's norm
            if not np.isfinite(value := float(self._last[name])):
                raise TrainingError(
                    f"The {name} is {value} at step {step}, and that state was not saved. Go on from the checkpoint "
                    "before with a lower --config.training.learning_rate or --config.training.grad_clip."
                )

    def write_means(self, step: int) -> dict[str, str]:
        """Writes the row of this interval, starts a new one and returns what the bar shows of it."""
        self.check_finite(step)
        means = {name: float(np.mean([metrics[name] for metrics in self._metrics])) for name in self._last}
        row = {"step": step, **means, "images_per_second": self._num_images / (time.perf_counter() - self._start)}
        self.write(row)
        self._restart()
        return {name: f"{row[name]:.4g}" for name in ("loss", "images_per_second")}

    @contextlib.contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """What happens inside does not count as time spent on images."""
        start = time.perf_counter()
        yield
        self._start += time.perf_counter() - start

    def write(self, row: dict[str, Any]) -> None:
        """Appends `row`."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def _lines(path: Path) -> list[str]:
    """The complete lines of the file; a run that was killed may have left half of one."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()
