"""The numbers of an evaluation as figures: what its tables say to the eye."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from sdedit_jax.disk import replacing
from sdedit_jax.evaluation.report.tables import guides_of
from sdedit_jax.evaluation.report.wording import METHODS, kind
from sdedit_jax.evaluation.results import Row, is_metric, metric_names

DPI = 200  # 1800 pixels wide, shown at half of it: sharp on every screen
WIDTH = 9.0  # inches
PANEL_COLUMNS = 3
SEVERAL = 3.0  # how often the least is in the most where an axis is logarithmic
# Okabe and Ito's colours, which colour-blind people tell apart; markers tell the rest.
STYLES = {
    "sdedit": ("#0072B2", "o"),
    "guide": ("#000000", "s"),
    "blur": ("#56B4E9", "v"),
    "unconditional": ("#CC79A7", "D"),
    "gan-1": ("#E69F00", "^"),
    "gan-2": ("#009E73", "P"),
}
L2_STYLE = {"color": "#D55E00", "marker": "s", "linestyle": "--"}
BAND = "The band around a line is one standard deviation of KID over its random subsets."
PANELS = {
    "colors": ("num_colors", "colours of the strokes", "Realism and faithfulness by the number of colours."),
    "repeats": ("num_repeats", "repeats K", "Realism and faithfulness by the number of repeats."),
    "steps": ("num_steps", "solver steps N", "Realism and faithfulness by the number of solver steps."),
}


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure that has been written."""

    experiment: str
    path: Path
    caption: str


def write(out: Path, rows: Sequence[Row]) -> list[Drawing]:
    """Writes PNGs into ``out/figures``, for those experiments that have rows.

    Of the t0 sweep there are two for each network of KID: both metrics against t0, and one against the other.
    """
    names = metric_names(rows)
    kids = [name for name in names if kind(name) == "KID"]
    metrics = kids + [name for name in names if kind(name) == "L2"]
    if not kids or len(metrics) == len(kids):
        return []
    drawings = [drawing for kid in kids for drawing in _of_t0(out, rows, kid, metrics[-1])]
    for experiment in PANELS:
        if tried := _of_experiment(rows, experiment):
            field, label, caption = PANELS[experiment]
            drawing = Drawing(experiment, out / "figures" / f"{experiment}.png", f"{caption} {BAND}")
            drawings.append(_save(drawing, _draw_panels, tried, metrics, field, label))
    return drawings


def _of_t0(out: Path, rows: Sequence[Row], kid: str, l2: str) -> list[Drawing]:
    """The figures of the sweep, in which the baselines have their place too."""
    sweep = sorted(_of_experiment(rows, "t0"), key=lambda row: row["t0"])
    if not sweep:
        return []
    compared = [row for row in _of_experiment(rows, "synthesis") if guides_of(row) == guides_of(sweep[0])]
    baselines = [row for row in compared if row["method"] != "sdedit"]
    guides = [row for row in baselines if row["method"] == "guide"]
    name = re.sub(r"[^a-z0-9]+", "-", kid.lower()).strip("-")
    captions = {
        "t0": f"Realism, {kid}, and faithfulness, {l2}, against t0, as in figure 3 of the paper. {BAND}",
        "trade-off": f"Realism against faithfulness: {kid} against {l2}, with t0 along the line. {BAND}",
    }
    drawings = {what: Drawing("t0", out / "figures" / f"{what}_{name}.png", captions[what]) for what in captions}
    return [
        _save(drawings["t0"], _draw_t0, sweep, guides, kid, l2),
        _save(drawings["trade-off"], _draw_trade_off, sweep, baselines, kid, l2),
    ]


def _draw_t0(figure: Figure, sweep: Sequence[Row], guides: Sequence[Row], kid: str, l2: str) -> None:
    left = figure.subplots()
    right = left.twinx()
    _plot_line(left, sweep, "t0", kid, kid, color=STYLES["sdedit"][0], marker="o")
    for row in guides:
        left.axhline(row[kid]["mean"], color=STYLES["guide"][0], linestyle=":", label="KID of the guides themselves")
    _plot_line(right, sweep, "t0", l2, l2, **L2_STYLE)
    left.set_xlabel("t0 (0 keeps the guide, 1 ignores it)")
    _color_axis(left, kid, STYLES["sdedit"][0])
    _color_axis(right, l2, L2_STYLE["color"])
    _scale(left, _means([*sweep, *guides], kid))
    right.set_ylim(bottom=0.0)
    right.grid(False)  # one grid is enough
    figure.legend(loc="outside upper center", ncols=3, frameon=False)


def _draw_trade_off(figure: Figure, sweep: Sequence[Row], baselines: Sequence[Row], kid: str, l2: str) -> None:
    axes = figure.subplots()
    color, marker = STYLES["sdedit"]
    _plot_line(axes, sweep, l2, kid, "SDEdit, by t0", color=color, marker=marker)
    for row in sweep:
        place = row[l2]["mean"], row[kid]["mean"]
        axes.annotate(f"{row['t0']:g}", place, (3, 4), textcoords="offset points", color=color, fontsize=8)
    for row in baselines:
        color, marker = STYLES[row["method"]]
        label = METHODS[row["method"]]
        axes.plot(row[l2]["mean"], row[kid]["mean"], marker, color=color, label=label, markersize=8, zorder=3)
    axes.set(xlabel=f"{l2}: farther from the guide →", ylabel=kid)
    _scale(axes, _means([*sweep, *baselines], kid))
    figure.legend(loc="outside right upper", frameon=False)


def _draw_panels(figure: Figure, rows: Sequence[Row], metrics: Sequence[str], field: str, label: str) -> None:
    """A panel for each metric, a line for each method."""
    columns = min(PANEL_COLUMNS, len(metrics))
    panels = figure.subplots(-(-len(metrics) // columns), columns, squeeze=False).ravel()
    for axes, name in zip(panels, metrics, strict=False):
        _plot_methods(axes, rows, field, name)
        axes.set(xlabel=label, ylabel=name)
    for axes in panels[len(metrics) :]:
        axes.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)


def _plot_methods(axes: Axes, rows: Sequence[Row], field: str, name: str) -> None:
    # Of a guide the distance to itself says nothing.
    shown = [row for row in rows if not (row["method"] == "guide" and kind(name) == "L2")]
    for method in dict.fromkeys(row["method"] for row in shown):
        color, marker = STYLES[method]
        line = sorted((row for row in shown if row["method"] == method), key=lambda row: row[field])
        _plot_line(axes, line, field, name, METHODS[method], color=color, marker=marker)
    _ticks_at(axes, sorted({row[field] for row in shown}))
    if kind(name) == "KID":
        _scale(axes, _means(shown, name))
    else:
        axes.set_ylim(bottom=0.0)


def _plot_line(axes: Axes, rows: Sequence[Row], field: str, name: str, label: str, **style: Any) -> None:
    """The metric `name` over a setting or another metric; with a band if it is KID."""
    x = np.array([row[field]["mean"] if is_metric(row[field]) else row[field] for row in rows])
    mean = _means(rows, name)
    axes.plot(x, mean, label=label, markersize=5, linewidth=1.6, **style)
    if kind(name) == "KID":
        std = np.array([row[name]["std"] for row in rows])
        axes.fill_between(x, mean - std, mean + std, color=style["color"], alpha=0.18, linewidth=0)
    axes.grid(alpha=0.3, linewidth=0.5)


def _scale(axes: Axes, values: np.ndarray) -> None:
    """Logarithmic for KID of several magnitudes. It is unbiased, so that of very good pictures may be below 0."""
    if values.min() <= 0.0:
        return
    if values.max() < SEVERAL * values.min():
        axes.set_ylim(bottom=0.0)
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(bottom=values.min() / 1.5)  # where a band reaches 0, which this axis does not have


def _ticks_at(axes: Axes, values: Sequence[int]) -> None:
    if values[-1] > 4 * values[0]:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _color_axis(axes: Axes, name: str, color: str) -> None:
    axes.set_ylabel(name, color=color)
    axes.tick_params(axis="y", labelcolor=color)


def _save(drawing: Drawing, draw: Callable[..., None], *args: Any) -> Drawing:
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    draw(figure, *args)
    with replacing(drawing.path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    return drawing


def _means(rows: Sequence[Row], name: str) -> np.ndarray:
    return np.array([row[name]["mean"] for row in rows])


def _of_experiment(rows: Sequence[Row], experiment: str) -> list[Row]:
    return [row for row in rows if experiment in row["experiments"]]
