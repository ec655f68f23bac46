"""The folder of an evaluation as it is when all trials are measured, with numbers that follow formulas."""

import dataclasses

import numpy as np

from sdedit_jax.evaluation.measuring import as_fields
from sdedit_jax.evaluation.trials import BASELINES, EXPERIMENTS, NUM_COLORS, Plan, plan
from sdedit_jax.images import save_image
from sdedit_jax.metrics import Result

PLAN = Plan(
    experiments=EXPERIMENTS,
    baselines=BASELINES,
    t0=0.4,
    num_steps=50,
    num_repeats=1,
    seed=0,
    t0s=tuple(round(0.1 * tenths, 1) for tenths in range(1, 11)),
    colors=(3, 6, 16, 30, 50),
    repeats=(1, 2, 3),
    steps=(10, 25, 50, 100),
)
# A name of a model that would be a program if it were not escaped.
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">&amp; a|b"
COMMON = {"model": "landscapes", "solver": "Ancestral(variance='small')", "num_real": 2000}
# What multiplies KID, and the size that the pictures have in it.
NETWORKS = {"EfficientNet-Lite0": ("128 px", 1.0), "VGG16": ("64 px", 0.3)}
KIDS = [f"KID ({features}, {resize})" for features, (resize, _) in NETWORKS.items()]
L2 = "L2 (64 px)"
# KID, and L2 to the guide, of what is not SDEdit.
BASELINE = {
    "guide": (0.21, 0.0),
    "blur": (0.25, 1.4),
    "unconditional": (0.011, 26.0),
    "laplacian": (0.03, 4.0),
    "poisson": (0.024, 5.5),
    "gan-1": (0.06, 13.0),
    "gan-2": (0.045, 9.5),
}


def settings(**changed):
    """The plan with all experiments and baselines, but for what is `changed`."""
    return dataclasses.replace(PLAN, **changed)


def make_rows(chosen=PLAN, **common):
    """The rows of a plan, as `running.evaluate` returns them."""
    return [
        dataclasses.asdict(trial)
        | {"count": 1000, **COMMON, **common}
        | as_fields(_results(trial))
        | {"experiments": experiments}
        for trial, experiments in plan(chosen).items()
    ]


def write_shown(out, chosen=PLAN, size=64, number=8):
    """The first pictures of every trial and of its guides."""
    for trial in plan(chosen):
        for index in range(number):
            guide = _blocks(index, trial.num_colors or NUM_COLORS, size)
            noise = np.random.default_rng(index).normal(0.0, 0.3 * (trial.t0 or 0.0), guide.shape)
            x_edit = np.clip(guide + noise, -1.0, 1.0).astype(np.float32)
            save_image(out / "shown" / trial.guides / f"{index:04d}.png", guide)
            save_image(out / "shown" / trial.name / f"{index:04d}.png", x_edit)


def _blocks(seed, count, size):
    """A picture of squares in `count` colours."""
    colors = np.random.default_rng(seed).uniform(-0.8, 0.8, (count, 3))
    places = np.indices((size, size)) * 4 // size
    return colors[(places[0] * 4 + places[1]) % count].astype(np.float32)


def _kid_and_l2(trial):
    """As they should be: KID falls and L2 rises with t0, and more colours are better for both."""
    t0, clarity = trial.t0 or 0.0, 6 / (trial.num_colors or 6)
    if trial.method != "sdedit":
        kid, l2 = BASELINE[trial.method]
        return kid * clarity**0.5, l2
    kid = 0.012 + 0.2 * np.exp(-7 * t0) * clarity**0.5 + 0.5 / trial.num_steps**2 - 0.002 * (trial.num_repeats - 1)
    return float(kid), float(14 * t0**0.6 * clarity**0.1 + 0.3 * trial.num_repeats)


def _results(trial):
    """All metrics that `measuring.Measures` gives."""
    kid, l2 = _kid_and_l2(trial)
    results = []
    for features, (resize, factor) in NETWORKS.items():
        counts = (1000, 2000)
        results += [
            Result("KID", factor * kid, 0.05 * factor * kid + 0.001, features, resize, counts, 2020),
            Result("CMMD's MMD", 4 * factor * kid, None, features, resize, counts),
            Result("precision", float(np.exp(-5 * kid)), None, features, resize, counts),
            Result("recall", float(np.exp(-8 * kid)), None, features, resize, counts),
        ]
    results += [
        Result("L2", l2, 0.2 * l2, None, "64 px", (1000,)),
        Result("LPIPS", l2 / 40, l2 / 200, "LPIPS AlexNet", "64 px", (1000,)),
    ]
    if trial.task != "strokes":
        results += [
            Result("L2, edited", l2 / 2, l2 / 10, None, "64 px", (1000,)),
            Result("masked LPIPS", l2 / 200, l2 / 900, "LPIPS AlexNet", "64 px", (1000,)),
        ]
    return results
