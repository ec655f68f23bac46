"""Training is a pure step and a loop that can be cut anywhere."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sdedit_jax.checkpoints import Checkpointer, restore_ema
from sdedit_jax.images import load_image
from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise
from sdedit_jax.sdes import VESDE
from sdedit_jax.training import (
    Schedule,
    TrainingError,
    Watched,
    train,
    validation_loss,
)
from tests.toys import Blur, GaussianNoise

SDE = VESDE(0.02, 10.0)
EMA_DECAY = 0.9
BLUR = Blur()
SIZE = 8


class Small(nn.Module):
    """A network with convolutions, the noise label and dropout, that compiles in a moment."""

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        h = nn.Conv(8, (3, 3))(x) + nn.Dense(8)(jnp.log(noise_label)[:, None])[:, None, None, :]
        h = nn.Dropout(0.1, deterministic=not train)(nn.silu(h))
        return nn.Conv(3, (3, 3))(h)


class NoGradient(nn.Module):
    """A finite output whose gradient is NaN."""

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        gain = self.param("gain", nn.initializers.ones, ())
        return x + jnp.sqrt(gain - gain)


def pictures(num_images, seed=0):
    """(B, 8, 8, 3) in [-1, 1]: smooth colour gradients, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-1, 1, (num_images, 2, 1, 1, 3))
    ramp = np.linspace(-1, 1, SIZE)
    x = slopes[:, 0] * ramp[None, :, None, None] + slopes[:, 1] * ramp[None, None, :, None]
    return (x / 2).astype(np.float32)


def batches_from(step, batch_size=2):
    """Endless batches, of which number k depends on k alone."""
    while True:
        yield pictures(batch_size, seed=step)
        step += 1


class Edits:
    """An edit that is cheap, and that remembers what it was asked for."""

    def __init__(self):
        self.calls = []

    def __call__(self, params, key, x_guide):
        self.calls.append((jax.tree.map(np.asarray, params), jax.random.key_data(key), x_guide))
        return jnp.asarray(-x_guide)


def samples(params, key):
    """Pictures that are cheap to draw."""
    return jax.random.uniform(key, (3, SIZE, SIZE, 3), minval=-1.0)


def run(
    workdir,
    num_steps,
    *,
    model: nn.Module = BLUR,
    every=2,
    edit=None,
    batches=batches_from,
    params=None,
    num_microbatches=1,
    max_skipped_steps=3,
    **schedule,
):
    """Trains in `workdir` and returns the state."""
    intervals = {"log_every": every, "checkpoint_every": every, "sample_every": every} | schedule
    return train(
        workdir,
        loss_fn=DenoisingScoreMatching(model, SDE, LogNormalNoise(0.0, 1.0)),
        tx=optax.adam(1e-2),
        ema_decay=EMA_DECAY,
        num_microbatches=num_microbatches,
        max_skipped_steps=max_skipped_steps,
        schedule=Schedule(num_steps=num_steps, **intervals),
        seed=3,
        batches_from=batches,
        watched=Watched(pictures(4, seed=100), pictures(3, seed=200), edit or Edits(), samples, batch_size=3),
        params=params,
    )


def rows(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) for line in lines]
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def assert_same_bits(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder and the state of an uninterrupted run of a network with all that a real one has."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run(workdir, 30, model=Small(), every=10)


def test_a_resumed_run_is_the_run_that_was_not_interrupted(whole, tmp_path):
    """Bit for bit: parameters, their average, the optimizer's moments, and every row of the metrics."""
    run(tmp_path, 20, model=Small(), every=10)
    state = run(tmp_path, 30, model=Small(), every=10)
    assert int(state.step) == 30
    assert_same_bits(state, whole[1])
    assert rows(tmp_path) == rows(whole[0])
    assert [row["step"] for row in rows(tmp_path)] == [10, 10, 20, 20, 30, 30]


def test_the_loss_falls(whole):
    losses = [row["validation_loss"] for row in rows(whole[0]) if "validation_loss" in row]
    assert losses[0] > losses[1] > losses[2]


def test_the_newest_checkpoint_is_the_state_that_is_returned(whole):
    workdir, state = whole
    with Checkpointer(workdir) as checkpointer:
        assert checkpointer.latest_step() == 30
        assert_same_bits(checkpointer.restore(jax.eval_shape(lambda: state)), state)


def test_a_finished_run_does_nothing_more_and_says_so(tmp_path, capsys):
    state = run(tmp_path, 2)
    assert not capsys.readouterr().out
    metrics = rows(tmp_path)
    edit = Edits()
    assert_same_bits(run(tmp_path, 2, edit=edit), state)
    assert rows(tmp_path) == metrics and not edit.calls
    assert "all 2 steps are done. For more, raise --config.training.num_steps" in capsys.readouterr().out


def test_where_a_run_looks_it_saves_and_the_best_is_kept(tmp_path):
    run(tmp_path, 40, log_every=40, checkpoint_every=10, sample_every=5)
    losses = {row["step"]: row["validation_loss"] for row in rows(tmp_path) if "validation_loss" in row}
    assert list(losses) == [5, 10, 15, 20, 25, 30, 35, 40]
    with Checkpointer(tmp_path) as checkpointer:
        assert checkpointer.best_step() == min(losses, key=lambda step: losses[step])
        assert checkpointer.steps() == sorted({35, 40, checkpointer.best_step()})


def test_what_a_killed_run_logged_after_its_checkpoint_is_logged_again(tmp_path):
    run(tmp_path / "whole", 4)
    run(tmp_path / "killed", 2)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 7.0}\n{"step": 4, "lo')
    run(tmp_path / "killed", 4)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_a_run_goes_on_from_before_a_damaged_checkpoint(whole, tmp_path):
    """And reaches the same state: what the damaged step was, is computed again."""
    run(tmp_path, 20, model=Small(), every=10)
    for arrays in (tmp_path / "checkpoints" / "20" / "state").glob("d/*"):
        arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="Step 20 in .* is damaged"):
        state = run(tmp_path, 30, model=Small(), every=10)
    assert_same_bits(state, whole[1])
    assert rows(tmp_path) == rows(whole[0])
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["20", "30"]
    assert list(tmp_path.glob("damaged_20_*"))


INTERRUPTED = """
import sys
from pathlib import Path
from tests.training.test_loop import run
run(Path(sys.argv[1]), int(sys.argv[2]), log_every=10, checkpoint_every=100_000, sample_every=100_000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_and_says_how_to_go_on(tmp_path, number):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "asked"), "100000"]
    root, metrics = Path(__file__).parents[2], tmp_path / "asked" / "metrics.jsonl"
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.read_text()):  # training has begun
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    with Checkpointer(tmp_path / "asked") as checkpointer:
        assert (step := checkpointer.latest_step())
    what, how = said.split(" To go on:\n")
    assert what == f"Stopped and saved after step {step} of 100000." and shlex.split(how) == command
    assert rows(tmp_path / "asked")[-1]["step"] == step
    state = run(tmp_path / "asked", step + 3, every=100_000)
    assert_same_bits(state, run(tmp_path / "whole", step + 3, every=100_000))


def test_intervals_need_not_divide_each_other(tmp_path):
    run(tmp_path, 7, log_every=3, checkpoint_every=2, sample_every=4)
    found = rows(tmp_path)
    assert [row["step"] for row in found if "loss" in row] == [3, 6, 7]
    assert [row["step"] for row in found if "validation_loss" in row] == [4, 7]
    run(tmp_path / "each", 7, every=1)
    each = {row["step"]: row["loss"] for row in rows(tmp_path / "each") if "loss" in row}
    means = [np.mean([each[step] for step in steps]) for steps in ([1, 2, 3], [4, 5, 6], [7])]
    # Means of the same float32 losses, in double precision.
    np.testing.assert_allclose([row["loss"] for row in found if "loss" in row], means, rtol=1e-12)


@pytest.mark.parametrize("field", ["num_steps", "log_every", "checkpoint_every", "sample_every"])
def test_a_schedule_needs_positive_intervals(field):
    good = {"num_steps": 1, "log_every": 1, "checkpoint_every": 1, "sample_every": 1}
    with pytest.raises(ValueError, match=f"{field} must be 1 or more steps, got 0"):
        Schedule(**good | {field: 0})


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
    with pytest.raises(TrainingError, match="The parameters after step 2 are not finite, and were not saved"):
        run(tmp_path, 9, params={"gain": jnp.asarray(np.nan)}, max_skipped_steps=9)
    with Checkpointer(tmp_path) as checkpointer:
        assert checkpointer.latest_step() is None


def test_a_run_that_diverged_goes_on_from_its_last_checkpoint(tmp_path):
    wanted = run(tmp_path / "whole", 4)
    with pytest.raises(TrainingError):
        run(tmp_path / "mended", 4, batches=nan_in({3, 4}), max_skipped_steps=1)
    assert_same_bits(run(tmp_path / "mended", 4), wanted)
    assert rows(tmp_path / "mended") == rows(tmp_path / "whole")


def test_parts_of_a_batch_make_the_same_run(tmp_path):
    """Up to float32 sums in another order, four steps long; `Blur` has no dropout."""
    whole, in_parts = run(tmp_path / "whole", 4), run(tmp_path / "parts", 4, num_microbatches=2)
    for found, wanted in zip(jax.tree.leaves(in_parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


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


TRAIN = """
import sys, jax
from pathlib import Path
from tests.training.test_loop import run
assert jax.device_count() == 2
run(Path(sys.argv[1]), 4)
"""


def test_two_devices_share_a_batch(tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "two")]
    subprocess.run(
        command, cwd=Path(__file__).parents[2], env=os.environ | {"XLA_FLAGS": flags}, check=True, timeout=120
    )
    run(tmp_path / "one", 4)
    for found, wanted in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert found.keys() == wanted.keys()
        for name in found:  # sums over a batch in another order, four steps long
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)
