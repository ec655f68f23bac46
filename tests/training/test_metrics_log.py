"""The log of a run holds every step once, whatever was interrupted, and nothing that is not finite."""

import json
import time

import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.training.errors import TrainingError
from sdedit_jax.training.metrics_log import MetricsLog


def metrics(loss, grad_norm=1.0):
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    return {"loss": jnp.float32(loss), "grad_norm": jnp.float32(grad_norm), "skipped": 1.0 - finite}


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_holds_the_means_since_the_row_before(tmp_path):
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl", 0, max_skipped_steps=1)
    for step, loss in enumerate([1.0, 2.0, 6.0, 5.0], start=1):
        log.add(metrics(loss, 2 * loss), num_images=2)
        if step >= 3:
            shown = log.write_means(step)
    found = [(row["step"], row["loss"], row["grad_norm"]) for row in rows(tmp_path / "run" / "metrics.jsonl")]
    assert found == [(3, 3.0, 6.0), (4, 5.0, 10.0)]
    assert shown.keys() == {"loss", "images_per_second"} and shown["loss"] == "5"


def test_what_was_logged_after_the_step_is_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"step": 4, "lo')  # the last by a run that was killed
    MetricsLog(path, 2, max_skipped_steps=1).write({"step": 3, "loss": 0.5})
    assert rows(path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 0.5}]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_damaged_lines_are_left_out_with_a_warning_and_the_log_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    damaged = [b"\0" * 20, b"[1]", b'{"loss": 1.0}', b'{"step": "3"}', b"\xff{", b"5"]
    path.write_bytes(b"\n".join([b'{"step": 1}', *damaged, b'{"step": 2, "loss": 0.1}', b'{"st']))
    with pytest.warns(UserWarning, match=f"metrics.jsonl: {len(damaged)} of its lines are damaged and left out"):
        log = MetricsLog(path, 2, max_skipped_steps=1)
    log.write({"step": 3})
    assert log.rows() == rows(path) == [{"step": 1}, {"step": 2, "loss": 0.1}, {"step": 3}]


def test_numbers_that_are_not_finite_are_null(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0, max_skipped_steps=1)
    log.write({"step": 1, "validation_loss": np.nan, "validation_loss_by_level": [0.5, -np.inf, 2.0]})
    assert log.rows() == [{"step": 1, "validation_loss": None, "validation_loss_by_level": [0.5, None, 2.0]}]


def test_time_with_the_clock_stopped_is_not_counted(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0, max_skipped_steps=1)
    with log.clock_stopped():
        time.sleep(0.5)
    log.add(metrics(1.0), num_images=8)
    log.write_means(1)
    assert rows(tmp_path / "metrics.jsonl")[0]["images_per_second"] > 8 / 0.5


def test_skipped_steps_are_counted_and_left_out_of_the_means(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0, max_skipped_steps=3)
    for loss in (1.0, np.nan, np.inf, 3.0):
        log.add(metrics(loss), num_images=2)
    assert log.write_means(4)["loss"] == "2"
    for _ in range(2):
        log.add(metrics(np.nan), num_images=2)
    log.write_means(6)
    first, second = rows(tmp_path / "metrics.jsonl")
    assert (first["loss"], first["skipped"]) == (2.0, 2)
    assert "loss" not in second and second["skipped"] == 2


@pytest.mark.parametrize("bad", [(np.nan, 1.0), (1.0, np.inf)])
def test_too_many_skipped_steps_in_a_row_are_an_error_and_not_written(tmp_path, bad):
    log = MetricsLog(tmp_path / "metrics.jsonl", 5, max_skipped_steps=2)
    for values in (bad, (1.0, 1.0), bad):
        log.add(metrics(*values), num_images=2)
    log.write_means(8)  # two of three were skipped, but not in a row
    log.add(metrics(*bad), num_images=2)  # the second in a row, across the row that was written
    said = f"2 steps in a row were skipped.* at step 9 the loss is {bad[0]} and the norm of the gradient {bad[1]}"
    with pytest.raises(TrainingError, match=said):
        log.add(metrics(1.0), num_images=2)
    assert len(rows(tmp_path / "metrics.jsonl")) == 1
