"""What is tried: every experiment is a list of trials, and a trial is one row of the results.

The experiments are those of SDEdit's tables and figures (Meng et al. 2022, arXiv:2108.01073), by these names:

    synthesis    tables 1 and 2: strokes to pictures, against the baselines
    t0           figure 3: realism against faithfulness as t0 goes up
    colors       table 4: strokes of more colours
    repeats      the number of repeats K
    steps        the number of solver steps N
    editing      section 4.2: strokes on a picture, with a mask
    compositing  table 3: a part of another picture pasted in, against blending
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

from sdedit_jax.evaluation.errors import EvaluationError
from sdedit_jax.evaluation.tasks import TaskName

Experiment = Literal["synthesis", "t0", "colors", "repeats", "steps", "editing", "compositing"]
EXPERIMENTS = get_args(Experiment)
SDEDIT = "sdedit"
NUM_COLORS = 6  # of strokes, where the number is not what is tried; the paper's
BLENDING = ("laplacian", "poisson")  # which need a background
ONE_PICTURE = ("blur", "unconditional")  # which know no mask
INVERSION = ("gan-1", "gan-2")
BASELINES = ("guide", *ONE_PICTURE, *BLENDING, *INVERSION)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One method with its settings on one task: all that decides a row besides the model and the data."""

    task: TaskName
    num_colors: int | None
    """Of the strokes, None where there are none."""
    method: str
    """`SDEDIT`, or one of `BASELINES`."""
    t0: float | None = None
    num_steps: int | None = None
    num_repeats: int | None = None
    """Of SDEdit, None for baselines; of them, "unconditional" has steps."""
    gan: str | None = None
    """Which one is inverted: the first digits of the SHA-256 of its parameters."""
    seed: int = 0

    @property
    def guides(self) -> str:
        """Name of the guides that it starts from: ``strokes-6``."""
        return self.task if self.num_colors is None else f"{self.task}-{self.num_colors}"

    @property
    def name(self) -> str:
        """Of its files: ``strokes-6_sdedit_t0-0.4_steps-50_repeats-1_seed-0``."""
        settings = {"t0": self.t0, "steps": self.num_steps, "repeats": self.num_repeats, "seed": self.seed}
        parts = [f"{name}-{value}" for name, value in settings.items() if value is not None]
        return "_".join([self.guides, self.method, *([self.gan] if self.gan else []), *parts])


@dataclasses.dataclass(frozen=True)
class Plan:
    """The settings from which the trials follow; `t0`, `num_steps` and `num_repeats` are SDEdit's where not tried."""

    experiments: Sequence[str]
    baselines: Sequence[str]
    t0: float
    num_steps: int
    num_repeats: int
    seed: int
    t0s: Sequence[float]
    colors: Sequence[int]
    repeats: Sequence[int]
    steps: Sequence[int]
    gan: str | None = None
    """As in `Trial`."""

    def __post_init__(self):
        _require_known("experiments", self.experiments, EXPERIMENTS)
        _require_known("baselines", self.baselines, BASELINES)
        for name, values in (("t0", (self.t0,)), ("t0s", self.t0s)):
            if not all(0.0 < value <= 1.0 for value in values):
                raise EvaluationError(f"{name} must be in (0, 1] (0 = keep the guide, 1 = ignore it), got {values}.")
        if not all(2 <= value <= 256 for value in self.colors):
            raise EvaluationError(f"colors must be from 2 to 256, got {self.colors}.")
        counts = {"num_steps": (self.num_steps,), "num_repeats": (self.num_repeats,)}
        for name, values in (counts | {"repeats": self.repeats, "steps": self.steps}).items():
            if not all(value >= 1 for value in values):
                raise EvaluationError(f"{name} must be 1 or more, got {values}.")


def plan(settings: Plan) -> dict[Trial, list[str]]:
    """The trials, each once, with the experiments that it belongs to; in the order in which they are made."""
    trials: dict[Trial, list[str]] = {}
    for experiment in settings.experiments:
        for trial in _TRIALS[experiment](settings):
            trials.setdefault(trial, []).append(experiment)
    return trials


def _sdedit(settings: Plan, task: TaskName = "strokes", num_colors: int | None = NUM_COLORS, **changed) -> Trial:
    fields: dict[str, Any] = {name: getattr(settings, name) for name in ("t0", "num_steps", "num_repeats")} | changed
    fields["t0"] = float(fields["t0"])  # 1 and 1.0 are one trial, with one name
    return Trial(task, num_colors, SDEDIT, seed=settings.seed, **fields)


def _with_baselines(settings: Plan, task: TaskName, num_colors: int | None, names: Sequence[str]) -> list[Trial]:
    """SDEdit, and the baselines of `names` that are wanted at all."""
    fields: dict[str, dict[str, Any]] = {"unconditional": {"num_steps": settings.num_steps}}
    fields |= {name: {"gan": settings.gan} for name in INVERSION}
    baselines = [
        Trial(task, num_colors, name, seed=settings.seed, **fields.get(name, {}))
        for name in settings.baselines
        if name in names
    ]
    return [_sdedit(settings, task, num_colors), *baselines]


def _colors(settings: Plan) -> list[Trial]:
    names = ("guide", *INVERSION)
    return [trial for number in settings.colors for trial in _with_baselines(settings, "strokes", number, names)]


_TRIALS = {
    "synthesis": lambda settings: _with_baselines(settings, "strokes", NUM_COLORS, ("guide", *ONE_PICTURE, *INVERSION)),
    "t0": lambda settings: [_sdedit(settings, t0=t0) for t0 in settings.t0s],
    "colors": _colors,
    "repeats": lambda settings: [_sdedit(settings, num_repeats=number) for number in settings.repeats],
    "steps": lambda settings: [_sdedit(settings, num_steps=number) for number in settings.steps],
    "editing": lambda settings: _with_baselines(settings, "editing", NUM_COLORS, ("guide", *BLENDING, *INVERSION)),
    "compositing": lambda settings: _with_baselines(settings, "compositing", None, ("guide", *BLENDING, *INVERSION)),
}


def _require_known(field: str, values: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [value for value in values if value not in known]:
        raise EvaluationError(f"{field} are some of {', '.join(known)}, got {', '.join(map(repr, unknown))}.")
