"""The curves of a run are drawn of whatever its metrics hold so far."""

import matplotlib
import numpy as np
import pytest
from PIL import Image

from sdedit_jax.training.curves import save_curves

LOOKS = [
    {"step": step, "validation_loss": 1.0 / step, "validation_loss_by_level": [2.0 / step, 1.0 / step]}
    for step in (10, 20, 30)
]
NULLS = [{"step": 40, "validation_loss": None, "validation_loss_by_level": [None, 0.5]}]
ROWS = [{"step": step, "loss": 2.0 / step, "grad_norm": 1.0} for step in range(1, 31)]


def has_color(path, color):
    """Whether the picture has pixels of that colour, (3,) in [0, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(float) / 255
    return (np.abs(pixels - color).max(axis=-1) < 0.02).any()


@pytest.mark.parametrize(
    ("rows", "has_loss", "has_validation"),
    [(ROWS + LOOKS, True, True), (ROWS + LOOKS + NULLS, True, True), (ROWS, True, False), ([], False, False)],
    ids=["whole", "not finite", "young", "empty"],
)
def test_what_was_logged_is_drawn(tmp_path, rows, has_loss, has_validation):
    path = tmp_path / "curves.png"
    save_curves(path, rows)
    first, second = (matplotlib.colors.to_rgb(f"C{i}") for i in (0, 1))
    assert (has_color(path, first), has_color(path, second)) == (has_loss, has_validation)
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]
