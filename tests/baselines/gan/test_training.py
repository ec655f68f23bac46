"""The loop: cut anywhere it ends where an uncut run ends, and it tells when it cannot go on."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.baselines.gan import training
from sdedit_jax.baselines.gan.training import TrainingError, grid, train
from sdedit_jax.images import load_image

NUM_STEPS = 7


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(training, "LOG_EVERY", 2)
    monkeypatch.setattr(training, "SAVE_EVERY", 3)


def run(workdir, num_steps, step_fn=None):
    """A run whose state takes up, in order, every step's number and mean."""

    def add(step, state, x):
        return {"sum": 2 * state["sum"] + step * x.mean()}, {"mean": jnp.mean(x)}

    def batches_from(step):
        return (np.full((1, 4, 4, 3), number / 10, np.float32) for number in range(step, 100))

    return train(
        workdir,
        initial=lambda: {"sum": jnp.zeros(())},
        step_fn=step_fn or add,
        batches_from=batches_from,
        watch=lambda state: jnp.zeros((8, 4, 4, 3)) + state["sum"] / 1000,
        num_steps=num_steps,
    )


def test_a_run_that_was_cut_ends_as_one_that_was_not(tmp_path):
    whole = run(tmp_path / "whole", NUM_STEPS)
    for num_steps in (2, 5, NUM_STEPS):
        cut = run(tmp_path / "cut", num_steps)
    assert float(whole["sum"]) > 0
    np.testing.assert_array_equal(cut["sum"], whole["sum"])
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 6, 7]
    np.testing.assert_allclose([row["mean"] for row in rows], [0.05, 0.25, 0.45, 0.6], rtol=1e-6)
    pictures = sorted(path.name for path in (tmp_path / "whole" / "pictures").iterdir())
    assert pictures == ["step_000003.png", "step_000006.png", "step_000007.png"]
    assert load_image(tmp_path / "whole" / "pictures" / pictures[0]).shape == (4, 32, 3)


def test_what_is_done_again_is_logged_once(tmp_path):
    run(tmp_path, 5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "mean": 9.0}\n{"step": 8, "me')  # of a run that was killed after its last save
    run(tmp_path, NUM_STEPS)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [2, 4, 5, 6, 7]


def test_a_run_that_diverges_ends_without_saving_it(tmp_path):
    def diverge(step, state, x):
        return state, {"loss": jnp.where(step < 4, 1.0, jnp.nan)}

    with pytest.raises(TrainingError, match="loss is not finite in the 2 steps before 6"):
        run(tmp_path, NUM_STEPS, diverge)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["3"]


def test_a_grid_reads_row_by_row():
    numbers = jnp.arange(16.0)[:, None, None, None] / 16
    tiled = grid(np.asarray(numbers * jnp.ones((16, 2, 3, 3))))
    assert tiled.shape == (4, 24, 3)
    np.testing.assert_array_equal(tiled[::2, ::3, 0], np.arange(16).reshape(2, 8) / 16)
    np.testing.assert_array_equal(grid(np.full((8, 1, 1, 3), 7.0)), 1.0)
