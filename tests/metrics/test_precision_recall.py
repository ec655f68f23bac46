import numpy as np
import pytest

from sdedit_jax.metrics import MetricError, precision_recall
from sdedit_jax.metrics.precision_recall import coverage
from tests.metrics.samples import gaussian, integers


def line(*positions):
    return np.array(positions, np.float32)[:, None]


def test_the_shares_are_those_of_torch_fidelity():
    # torch-fidelity 0.4.0 on these features, many of which lie exactly on the edge of a ball.
    assert coverage(integers(1, 80, 4), integers(2, 100, 5)) == (78 / 80, 44 / 100)


def test_points_on_a_line_by_hand():
    real = line(0, 1, 2, 3)  # third neighbours: 3, 2, 2, 3
    edit = line(-3, 5.5, 6, 20)  # third neighbours: 23, 14.5, 14, 23
    assert coverage(edit, real) == (0.75, 1.0)


def test_a_set_covers_itself():
    x = gaussian(0, 30, 0.0, 1.0)
    assert coverage(x, x[::-1]) == (1.0, 1.0)


def test_edits_that_are_all_alike_are_precise_and_cover_little():
    real = gaussian(0, 100, 0.0, 1.0)
    precision, recall = coverage(real[:1] + gaussian(1, 50, 0.0, 1e-4), real)
    assert precision == 1.0 and recall < 0.1


def test_exchanging_the_sets_exchanges_the_shares():
    x, y = gaussian(0, 40, 0.0, 1.0), gaussian(1, 50, 1.0, 1.0)
    assert coverage(x, y) == coverage(y, x)[::-1]


def test_blocks_change_nothing(monkeypatch):
    x, y = gaussian(0, 40, 0.0, 1.0), gaussian(1, 50, 1.0, 1.0)
    whole = coverage(x, y)
    monkeypatch.setattr(precision_recall, "BLOCK", 7)
    assert coverage(x, y) == whole and 0 < whole[0] < 1


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (gaussian(0, 3, 0, 1), gaussian(0, 8, 0, 1), "at least 4 pictures in each set, got 3"),
        (gaussian(0, 8, 0, 1, 3), gaussian(0, 8, 0, 1, 4), "sizes 3 and 4"),
        (gaussian(0, 8, 0, 1), gaussian(0, 8, np.nan, 1), "NaN or infinite"),
    ],
)
def test_wrong_uses_are_explained(x, y, message):
    with pytest.raises(MetricError, match=message):
        coverage(x, y)
