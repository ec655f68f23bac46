"""The trials are the rows of the paper's tables and the points of its figures, each made once."""

import dataclasses
import re

import pytest

from sdedit_jax.evaluation import EvaluationError, plan
from sdedit_jax.evaluation.trials import BASELINES, EXPERIMENTS, Plan

PLAN = Plan(
    experiments=EXPERIMENTS,
    baselines=BASELINES,
    t0=0.4,
    num_steps=25,
    num_repeats=1,
    seed=0,
    t0s=(0.2, 0.4, 1.0),
    colors=(3, 6),
    repeats=(1, 2),
    steps=(10, 25),
)


def of(experiment, trials):
    return [trial for trial, experiments in trials.items() if experiment in experiments]


def test_every_experiment_varies_what_it_is_called():
    trials = plan(PLAN)
    for experiment, field, values in (
        ("t0", "t0", [0.2, 0.4, 1.0]),
        ("repeats", "num_repeats", [1, 2]),
        ("steps", "num_steps", [10, 25]),
    ):
        rows = of(experiment, trials)
        assert sorted(getattr(row, field) for row in rows) == values
        others = {dataclasses.replace(row, **{field: None}) for row in rows}
        assert len(others) == 1  # nothing else differs
    by_colors = {(row.method, row.num_colors) for row in of("colors", trials)}
    assert by_colors == {(method, n) for method in ("sdedit", "guide", "gan-1", "gan-2") for n in (3, 6)}


def test_methods_stand_where_they_mean_something():
    trials = plan(PLAN)
    assert {row.method for row in of("synthesis", trials)} == {"sdedit", *BASELINES} - {"laplacian", "poisson"}
    for experiment in ("editing", "compositing"):  # what knows no mask would change all of the picture
        assert {row.method for row in of(experiment, trials)} == {"sdedit", *BASELINES} - {"blur", "unconditional"}


def test_what_two_experiments_share_is_made_once():
    trials = plan(PLAN)
    (shared,) = [trial for trial, experiments in trials.items() if len(experiments) == 5]
    assert trials[shared] == ["synthesis", "t0", "colors", "repeats", "steps"]
    assert shared.name == "strokes-6_sdedit_t0-0.4_steps-25_repeats-1_seed-0"


def test_names_are_unique_and_good_for_files():
    names = [trial.name for trial in plan(PLAN)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9_.-]{1,100}", name) for name in names)


def test_another_gan_makes_other_rows_and_leaves_the_rest_alone():
    one, other = (set(plan(dataclasses.replace(PLAN, gan=gan))) for gan in ("0123abcd", "ffff0000"))
    assert {trial.method for trial in one - other} == {"gan-1", "gan-2"}
    assert not {trial.name for trial in one - other} & {trial.name for trial in other}


def test_the_order_is_that_of_the_experiments_asked_for():
    few = plan(dataclasses.replace(PLAN, experiments=("compositing",), baselines=("guide",)))
    assert [(trial.task, trial.method) for trial in few] == [("compositing", "sdedit"), ("compositing", "guide")]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"experiments": ("t0", "kid")}, "experiments are some of synthesis, .*, got 'kid'"),
        ({"baselines": ("gan",)}, "baselines are some of guide, .*, got 'gan'"),
        ({"t0": 0.0}, r"t0 must be in \(0, 1\]"),
        ({"t0s": (0.5, 1.5)}, r"t0s must be in \(0, 1\]"),
        ({"colors": (1,)}, "colors must be from 2 to 256"),
        ({"steps": (0,)}, "steps must be 1 or more"),
        ({"num_repeats": 0}, "num_repeats must be 1 or more"),
    ],
)
def test_senseless_settings_are_refused(changed, message):
    with pytest.raises(EvaluationError, match=message):
        dataclasses.replace(PLAN, **changed)
