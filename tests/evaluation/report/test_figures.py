"""Figures show the numbers of the rows, and only what there are rows of."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sdedit_jax.evaluation.report import figures
from sdedit_jax.evaluation.report.wording import METHODS
from sdedit_jax.evaluation.trials import BLENDING
from tests.evaluation.report.measured import KIDS, L2, make_rows, settings

SWEEP = {
    "t0_kid-efficientnet-lite0-128-px.png",
    "t0_kid-vgg16-64-px.png",
    "trade-off_kid-efficientnet-lite0-128-px.png",
    "trade-off_kid-vgg16-64-px.png",
}


def means(rows, name):
    return [row[name]["mean"] for row in rows]


def of_method(rows, method, experiment):
    return [row for row in rows if row["method"] == method and experiment in row["experiments"]]


def lines(axes):
    """Label -> its x and y."""
    return {line.get_label(): (line.get_xdata(), line.get_ydata()) for line in axes.lines}


def with_kid(rows, change):
    """The rows with all KID changed by a function of their mean."""
    return [row | {name: {"mean": change(row[name]["mean"]), "std": 0.01} for name in KIDS} for row in rows]


def test_every_experiment_with_a_sweep_has_its_figures(reported):
    names = {path.name for path in (reported / "figures").iterdir()}
    assert names == SWEEP | {"colors.png", "repeats.png", "steps.png"}
    for name in names:
        with Image.open(reported / "figures" / name) as picture:
            assert picture.width == 1800 and len(picture.convert("RGB").getcolors(1 << 24)) > 50


@pytest.mark.parametrize(
    ("experiments", "names"),
    [(("editing", "compositing"), set()), (("synthesis", "repeats"), {"repeats.png"}), ((), set())],
    ids=["tables only", "one", "none"],
)
def test_what_has_no_rows_is_left_out(tmp_path, experiments, names):
    drawings = figures.write(tmp_path, make_rows(settings(experiments=experiments)))
    assert {drawing.path.name for drawing in drawings} == names
    assert {path.name for path in tmp_path.glob("figures/*")} == names


def test_rows_without_kid_have_no_figures(tmp_path):
    rows = [{name: value for name, value in row.items() if name not in KIDS} for row in make_rows()]
    assert figures.write(tmp_path, rows) == []


def test_both_metrics_stand_against_t0_and_the_guides_are_a_line():
    rows = make_rows()
    sweep = of_method(rows, "sdedit", "t0")
    figure = Figure()
    figures._draw_t0(figure, sweep, of_method(rows, "guide", "synthesis"), KIDS[0], L2)
    left, right = figure.axes
    x, y = lines(left)[KIDS[0]]
    np.testing.assert_array_equal(x, [row["t0"] for row in sweep])
    np.testing.assert_array_equal(y, means(sweep, KIDS[0]))
    np.testing.assert_array_equal(lines(right)[L2][1], means(sweep, L2))
    guides = lines(left)["KID of the guides themselves"][1]
    np.testing.assert_array_equal(guides, 2 * means(of_method(rows, "guide", "synthesis"), KIDS[0]))
    assert left.get_yscale() == "log" and (left.get_ylabel(), right.get_ylabel()) == (KIDS[0], L2)


def test_the_band_is_one_standard_deviation_of_kid():
    sweep = of_method(make_rows(), "sdedit", "t0")
    figure = Figure()
    figures._draw_t0(figure, sweep, [], KIDS[0], L2)
    (band,) = figure.axes[0].collections
    mean, std = np.array(means(sweep, KIDS[0])), np.array([row[KIDS[0]]["std"] for row in sweep])
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices}
    t0s = [row["t0"] for row in sweep]
    assert set(zip(t0s, mean - std, strict=True)) | set(zip(t0s, mean + std, strict=True)) <= corners
    assert not figure.axes[1].collections  # of L2 it would be the spread of the pictures


@pytest.mark.parametrize(
    ("change", "scale"),
    [(lambda kid: kid - 0.02, "linear"), (lambda kid: 0.1 + kid / 10, "linear"), (lambda kid: kid, "log")],
    ids=["negative", "of one magnitude", "of several"],
)
def test_the_axis_of_kid_holds_all_of_it(change, scale):
    sweep = with_kid(of_method(make_rows(), "sdedit", "t0"), change)
    figure = Figure()
    figures._draw_t0(figure, sweep, [], KIDS[0], L2)
    low, high = figure.axes[0].get_ylim()
    assert figure.axes[0].get_yscale() == scale
    assert low < min(means(sweep, KIDS[0])) and max(means(sweep, KIDS[0])) < high


def test_the_trade_off_names_every_t0_and_every_baseline():
    rows = make_rows()
    sweep = of_method(rows, "sdedit", "t0")
    baselines = [row for row in rows if "synthesis" in row["experiments"] and row["method"] != "sdedit"]
    figure = Figure()
    figures._draw_trade_off(figure, sweep, baselines, KIDS[0], L2)
    (axes,) = figure.axes
    assert {(text.get_text(), text.xy) for text in axes.texts} == {
        (f"{row['t0']:g}", (row[L2]["mean"], row[KIDS[0]]["mean"])) for row in sweep
    }
    drawn = lines(axes)
    assert len(baselines) == 5 and drawn.keys() == {"SDEdit, by t0", *(METHODS[row["method"]] for row in baselines)}
    for row in baselines:
        x, y = drawn[METHODS[row["method"]]]
        assert (*x, *y) == (row[L2]["mean"], row[KIDS[0]]["mean"])


def test_every_method_is_a_line_over_the_number_of_colours():
    rows = make_rows(settings(colors=(50, 3, 16), experiments=("colors",)))
    figure = Figure()
    figures._draw_panels(figure, rows, [*KIDS, L2], "num_colors", "colours")
    assert [axes.get_ylabel() for axes in figure.axes] == [*KIDS, L2]
    names = [METHODS[method] for method in ("sdedit", "guide", "gan-1", "gan-2")]
    assert list(lines(figure.axes[0])) == names
    assert list(lines(figure.axes[2])) == [name for name in names if name != METHODS["guide"]]
    x, y = lines(figure.axes[1])["SDEdit"]
    by_count = {row["num_colors"]: row[KIDS[1]]["mean"] for row in of_method(rows, "sdedit", "colors")}
    assert list(x) == [3, 16, 50] and list(y) == [by_count[count] for count in (3, 16, 50)]


def test_methods_differ_in_colour_and_in_marker():
    assert METHODS.keys() - set(BLENDING) == figures.STYLES.keys()
    for kind in zip(*figures.STYLES.values(), strict=True):
        assert len(set(kind)) == len(figures.STYLES)
