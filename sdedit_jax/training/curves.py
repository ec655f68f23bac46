"""The curves of a run as one picture: what its metrics say to the eye."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from sdedit_jax.disk import replacing

NUM_LEVELS_SHOWN = 4  # curves over noise levels: the first look, the last, and some between


def save_curves(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the losses over steps, and beside them the validation loss over noise levels, as a PNG.

    `rows` are those of `metrics.jsonl`. Without any of a kind its curve is left out.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    over_steps, over_levels = figure.subplots(1, 2)
    _plot_over_steps(over_steps, rows)
    _plot_over_levels(over_levels, [row for row in rows if "validation_loss_by_level" in row])
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=110)


def _plot_over_steps(axes: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    for name, label, style in (("loss", "training", "-"), ("validation_loss", "validation (EMA)", "o-")):
        steps, losses = _column(rows, "step", name), _column(rows, name, name)
        if steps:
            axes.plot(steps, _numbers(losses), style, label=label, linewidth=1, markersize=3)
    axes.set(xlabel="step", ylabel="loss", yscale="log", title="Loss")
    _label_few_decades(axes)
    if axes.lines:
        axes.legend()


def _plot_over_levels(axes: Axes, looks: Sequence[Mapping[str, Any]]) -> None:
    for number in sorted({round(i) for i in np.linspace(0, len(looks) - 1, NUM_LEVELS_SHOWN)} if looks else ()):
        by_level = _numbers(looks[number]["validation_loss_by_level"])
        times = (np.arange(len(by_level)) + 0.5) / len(by_level)
        axes.plot(times, by_level, "o-", label=f"step {looks[number]['step']}", linewidth=1, markersize=3)
    axes.set(xlabel="t (0 data, 1 noise)", ylabel="validation loss", yscale="log", title="Validation by noise level")
    _label_few_decades(axes)
    if axes.lines:
        axes.legend()


def _label_few_decades(axes: Axes) -> None:
    """A loss often stays within one decade, whose powers of ten alone would leave the axis without a number."""
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3, linewidth=0.5)


def _column(rows: Sequence[Mapping[str, Any]], name: str, where: str) -> list[Any]:
    """The field `name` of the rows that have the field `where`."""
    return [row[name] for row in rows if where in row]


def _numbers(losses: Sequence[float | None]) -> np.ndarray:
    """Gaps for those that were not finite."""
    return np.array(losses, np.float64)
