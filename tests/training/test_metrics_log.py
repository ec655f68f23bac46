"""The log of a run holds every step once, whatever was interrupted, and nothing that is not finite."""

import json
import time

import jax.numpy as jnp
import pytest

from sdedit_jax.training.metrics_log import MetricsLog, TrainingError


def metrics(loss, grad_norm=1.0):
    return {"loss": jnp.float32(loss), "grad_norm": jnp.float32(grad_norm)}


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_holds_the_means_since_the_row_before(tmp_path):
    log = MetricsLog(tmp_path / "run" / "metrics.jsonl", 0)
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
    MetricsLog(path, 2).write({"step": 3, "loss": 0.5})
    assert rows(path) == [{"step": 1}, {"step": 2}, {"step": 3, "loss": 0.5}]
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_time_with_the_clock_stopped_is_not_counted(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    with log.clock_stopped():
        time.sleep(0.5)
    log.add(metrics(1.0), num_images=8)
    log.write_means(1)
    assert rows(tmp_path / "metrics.jsonl")[0]["images_per_second"] > 8 / 0.5


@pytest.mark.parametrize(("bad", "name"), [((float("nan"), 1.0), "loss"), ((1.0, float("inf")), "grad_norm")])
def test_what_is_not_finite_is_an_error_and_not_written(tmp_path, bad, name):
    log = MetricsLog(tmp_path / "metrics.jsonl", 0)
    log.add(metrics(*bad), num_images=2)
    with pytest.raises(TrainingError, match=f"The {name} is (nan|inf) at step 7, and that state was not saved"):
        log.write_means(7)
    assert not rows(tmp_path / "metrics.jsonl")
