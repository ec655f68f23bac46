"""The metrics and grids of a run for TensorBoard, by tensorboardX, which needs no TensorFlow."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdedit_jax.pixels import to_uint8
from sdedit_jax.training.errors import TrainingError


def require_installed() -> None:
    """TrainingError where tensorboardX is not."""
    if importlib.util.find_spec("tensorboardX") is None:
        raise TrainingError('config.training.tensorboard needs tensorboardX: pip install -e ".[tensorboard]".')


class TensorBoard:
    """The event files in `folder`; what an earlier run wrote there after `step` is hidden.

    Raises TrainingError where tensorboardX is not installed.
    """

    def __init__(self, folder: Path, step: int):
        require_installed()
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """The numbers of a row of `metrics.jsonl`; of a list, each as ``name/0``, ``name/1``, ..."""
        for name, value in row.items():
            parts = {f"{name}/{i}": part for i, part in enumerate(value)} if isinstance(value, list) else {name: value}
            for part, number in parts.items():
                if part != "step":
                    self._writer.add_scalar(part, number, row["step"])
        self._writer.flush()

    def write_image(self, name: str, x: np.ndarray, step: int) -> None:
        """A picture (H, W, 3) in [-1, 1]."""
        self._writer.add_image(name, to_uint8(x), step, dataformats="HWC")

    def close(self) -> None:
        """Writes what is still waiting."""
        self._writer.close()
