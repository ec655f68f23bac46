"""A loss, a gradient or parameters that are not finite: skipped, counted, and never saved."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.checkpoints import Checkpointer, restore_ema
from sdedit_jax.training import TrainingError
from tests.training.networks import NoGradient
from tests.training.runs import Edits, assert_same_bits, batches_from, rows, run


def nan_in(bad_steps):
    """Batches of which those for `bad_steps` hold a NaN."""

    def batches(step):
        for number, x in enumerate(batches_from(step), start=step + 1):
            yield np.full_like(x, np.nan) if number in bad_steps else x

    return batches


def test_steps_without_a_finite_loss_are_skipped_and_counted(tmp_path):
    state = run(tmp_path, 7, batches=nan_in({3, 4, 6}), max_skipped_steps=3)
    assert int(state.step) == 7
    assert np.isfinite(jax.tree.leaves(state)).all()
    found = [row for row in rows(tmp_path) if "skipped" in row]
    assert [(row["step"], row["skipped"], "loss" in row) for row in found] == [
        (2, 0, True),
        (4, 2, False),
        (6, 1, True),
        (7, 0, True),
    ]


@pytest.mark.parametrize(("log_every", "checkpoint_every"), [(2, 2), (99, 2), (3, 2), (99, 1)])
def test_a_run_that_diverges_stops_and_saves_nothing_of_it(tmp_path, log_every, checkpoint_every):
    """Three skipped steps later; the checkpoints made meanwhile hold the parameters of the last good step."""
    wanted = run(tmp_path / "good", 2)
    message = r"3 steps in a row were skipped.* step 5 the loss is nan .* lower --config.training.learning_rate"
    intervals = {"log_every": log_every, "checkpoint_every": checkpoint_every, "sample_every": 99}
    with pytest.raises(TrainingError, match=message):
        run(tmp_path, 8, batches=nan_in(range(3, 99)), max_skipped_steps=3, **intervals)
    assert_same_bits(restore_ema(tmp_path), wanted.ema_params)
    assert all(row["step"] <= 4 for row in rows(tmp_path))


def test_a_gradient_that_is_not_finite_is_noticed_before_the_loss_is(tmp_path):
    with pytest.raises(TrainingError, match="at step 1 the loss is [0-9.]+ and the norm of the gradient nan"):
        run(tmp_path, 1, model=NoGradient(), every=1, max_skipped_steps=1)
    assert not rows(tmp_path)


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    """Nor edited with, nor measured."""
    edit = Edits()
    with pytest.raises(TrainingError, match="The parameters after step 2 are not finite, and were not saved"):
        run(tmp_path, 9, params={"gain": jnp.asarray(np.nan)}, edit=edit, max_skipped_steps=9)
    with Checkpointer(tmp_path) as checkpointer:
        assert checkpointer.latest_step() is None
    assert not edit.calls and rows(tmp_path) == [{"step": 2, "skipped": 2}]


def test_a_run_that_diverged_goes_on_from_its_last_checkpoint(tmp_path):
    wanted = run(tmp_path / "whole", 4)
    with pytest.raises(TrainingError):
        run(tmp_path / "mended", 4, batches=nan_in({3, 4}), max_skipped_steps=1)
    assert_same_bits(run(tmp_path / "mended", 4), wanted)
    assert rows(tmp_path / "mended") == rows(tmp_path / "whole")
