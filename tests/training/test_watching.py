"""What a run is looked at by: its validation loss, edits and samples, and that looking costs it nothing."""

import os
import signal

import jax
import numpy as np
import pytest

from sdedit_jax.checkpoints import Checkpointer
from sdedit_jax.images import load_image
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.training import Watched, validation_loss
from sdedit_jax.training.metrics_log import MetricsLog
from sdedit_jax.training.watching import Watch
from tests.toys import GaussianNoise
from tests.training.runs import BLUR, SDE, SIZE, Edits, assert_same_bits, pictures, rows, run, samples


def test_where_a_run_looks_it_saves_and_the_best_is_kept(tmp_path):
    run(tmp_path, 40, log_every=40, checkpoint_every=10, sample_every=5)
    losses = {row["step"]: row["validation_loss"] for row in rows(tmp_path) if "validation_loss" in row}
    assert list(losses) == [5, 10, 15, 20, 25, 30, 35, 40]
    with Checkpointer(tmp_path) as checkpointer:
        assert checkpointer.best_step() == min(losses, key=lambda step: losses[step])
        assert checkpointer.steps() == sorted({35, 40, checkpointer.best_step()})


def test_edits_are_made_of_the_averaged_params_with_one_key(tmp_path):
    edit = Edits()
    state = run(tmp_path, 4, edit=edit)
    (_, first_key, _), (params, key, x_guide) = edit.calls
    assert_same_bits(params, state.ema_params)
    assert params["gain"] != state.params["gain"]
    np.testing.assert_array_equal(key, first_key)  # so that two grids differ by the training alone
    np.testing.assert_array_equal(x_guide, pictures(3, seed=200))


def test_the_grid_of_edits_shows_guides_above_edits(tmp_path):
    run(tmp_path, 4, every=4)
    assert [path.name for path in (tmp_path / "edits").iterdir()] == ["step_0000004.png"]
    grid = load_image(tmp_path / "edits" / "step_0000004.png")
    side = 128  # a picture of 8 pixels is enlarged to 128 on a sheet
    top, left, row = 26, 8, 8 + 18 + side
    guide, edited = (grid[y : y + side : 16, left : left + side : 16] for y in (top, top + row))
    np.testing.assert_allclose(guide, pictures(3, seed=200)[0], atol=1 / 127.5)  # one byte
    np.testing.assert_allclose(edited, -guide, atol=2 / 127.5)


def test_what_is_drawn_does_not_depend_on_how_much_fits_a_device(tmp_path):
    """Three guides one by one, two and one, or all at once: the same keys, guides and grids, bit for bit."""
    edits = {size: Edits() for size in (1, 2, 3)}
    for size, edit in edits.items():
        watched = Watched(pictures(1), pictures(3, seed=200), edit, samples, size)
        log = MetricsLog(tmp_path / str(size) / "metrics.jsonl", 0, max_skipped_steps=1)
        watch = Watch(tmp_path / str(size), DenoisingScoreMatching(BLUR, SDE), watched, seed=3, log=log, board=None)
        watch.draw(2, {}, stopping=lambda: False)
    assert [[len(x_guide) for *_, x_guide in edit.calls] for edit in edits.values()] == [[1, 1, 1], [2, 1], [3]]
    [(_, image_keys, x_guide)] = edits[3].calls
    for size in (1, 2):
        np.testing.assert_array_equal(np.concatenate([key for _, key, _ in edits[size].calls]), image_keys)
        np.testing.assert_array_equal(np.concatenate([x for *_, x in edits[size].calls]), x_guide)
        for grid in ("edits", "samples"):
            found, wanted = (tmp_path / str(i) / grid / "step_0000002.png" for i in (size, 3))
            assert found.read_bytes() == wanted.read_bytes()


def test_edits_that_fail_cost_no_step(tmp_path):
    """As on a device without room for them: each start ends with its error, and the next goes on from there."""

    def fail(params, image_keys, x_guide):
        raise MemoryError("no room")

    for step in (2, 4):
        with pytest.raises(MemoryError, match="no room"):
            run(tmp_path / "run", 9, edit=fail)
        with Checkpointer(tmp_path / "run") as checkpointer:
            assert checkpointer.latest_step() == step
            assert checkpointer.best_step() is not None  # it was saved with its validation loss
    assert [row["step"] for row in rows(tmp_path / "run")] == [2, 2, 4, 4]


def test_a_run_that_is_asked_to_stop_while_it_draws_does_not_draw_on(tmp_path, capsys):
    class Asked(Edits):
        def __call__(self, *arguments):
            os.kill(os.getpid(), signal.SIGTERM)
            return super().__call__(*arguments)

    edit = Asked()
    state = run(tmp_path, 9, edit=edit, batch_size=1)
    assert len(edit.calls) == 1 and not (tmp_path / "edits").exists() and not (tmp_path / "samples").exists()
    assert int(state.step) == 3 and "Stopped and saved after step 3 of 9." in capsys.readouterr().out


def test_the_validation_loss_of_the_exact_network_is_known_level_by_level(new_key):
    """s^2 / (s^2 + sigma(t)^2) for pixels N(m, s^2), at the times 1/16, 3/16, ..."""
    exact = GaussianNoise(0.3, 0.5)
    loss_fn = DenoisingScoreMatching(exact, SDE)
    x0 = 0.3 + 0.5 * jax.random.normal(new_key(), (256, SIZE, SIZE, 3))
    validate = jax.jit(lambda x0: validation_loss(loss_fn, {}, x0, batch_size=3))
    found = validate(x0)
    sigma = 0.02 * (10.0 / 0.02) ** ((np.arange(8) + 0.5) / 8)
    least = 0.25 / (0.25 + sigma**2)
    np.testing.assert_allclose(found, least, rtol=5 * np.sqrt(2 / x0.size))  # five standard errors of a chi square
    np.testing.assert_array_equal(validate(x0), found)
