"""Tables hold the numbers of the rows, say what they have in common, and mark the best where there is a contest."""

import pytest

from sdedit_jax.evaluation.report.tables import in_order, tabulate
from sdedit_jax.evaluation.report.wording import EXPERIMENTS as TITLES
from sdedit_jax.evaluation.report.wording import METHODS
from sdedit_jax.evaluation.trials import BASELINES, EXPERIMENTS, SDEDIT
from tests.evaluation.report.measured import KIDS, L2, make_rows, settings


def table_of(experiment, **changed):
    return tabulate(in_order(make_rows(settings(experiments=(experiment,), **changed))))


def column(table, head):
    """The cells below a head, by the names of their rows."""
    index = next(number for number, text in enumerate(table.heads) if text.startswith(head))
    return {cells[0].text: cells[index] for cells in table.rows}


def row(kid, *, method=SDEDIT, num_colors=6, name=KIDS[0], std=None):
    fields = {"task": "strokes", "num_colors": num_colors, "method": method, "t0": 0.4, "num_steps": 50}
    fields |= {"num_repeats": 1, "gan": None, "seed": 0, "count": 9, "num_real": 9, "model": "m", "solver": "s"}
    return fields | {name: {"mean": kid, "std": std}}


def shown(rows):
    """The last column: text, and whether it is the best."""
    return [(cells[-1].text, cells[-1].is_best) for cells in tabulate(rows).rows]


def test_every_experiment_and_method_has_its_words():
    assert set(TITLES) == set(EXPERIMENTS) and set(METHODS) == {SDEDIT, *BASELINES}


def test_what_is_common_is_in_the_caption_and_what_is_tried_has_a_column():
    table = table_of("t0")
    assert table.caption == (
        "model: landscapes; solver: Ancestral(variance='small'); held-out pictures: 1000; "
        "real pictures, of the training split: 2000; colours: 6; steps: 50; repeats: 1; seed: 0; KID: seed 2020"
    )
    assert table.heads[:3] == ["method", "t0", f"{KIDS[0]} ↓"]
    assert [cells[1].text for cells in table.rows] == "0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1".split()


def test_rows_are_in_the_order_of_what_is_tried():
    table = table_of("colors", colors=(50, 6, 16), baselines=("guide",))
    assert [(cells[0].text, cells[1].text) for cells in table.rows] == [
        (METHODS[method], count) for count in ("6", "16", "50") for method in ("sdedit", "guide")
    ]


def test_a_baseline_has_no_settings_that_are_not_its_own():
    table = table_of("synthesis")
    assert "t0: 0.4" in table.caption and "repeats: 1" in table.caption
    assert [cells[0].text for cells in table.rows][:2] == ["SDEdit", "the guide itself"]


def test_numbers_of_a_column_have_the_same_decimals():
    assert column(table_of("synthesis"), L2)["GAN-2, optimised"].text == "9.50"
    assert column(table_of("synthesis"), L2)["GAN-2, optimised"].std == "± 1.90"
    assert [text for text, _ in shown([row(0.2), row(0.00123)])] == ["0.2000", "0.0012"]
    assert [text for text, _ in shown([row(123.4567), row(-0.04)])] == ["123.5", "−0.0"]
    assert [text for text, _ in shown([row(0.0000123), row(0.0)])] == ["0.000012", "0.000000"]
    assert shown([row(0.0)]) == [("0.0", False)]


@pytest.mark.parametrize(
    ("metric", "best"), [(KIDS[0], [True, False]), ("precision (VGG16, 64 px)", [False, True])], ids=["low", "high"]
)
def test_the_best_is_the_lowest_or_the_highest(metric, best):
    assert [is_best for _, is_best in shown([row(0.1, name=metric), row(0.2, name=metric)])] == best


def test_only_equal_guides_compete():
    rows = [row(0.1, num_colors=3), row(0.2, num_colors=3), row(0.3, num_colors=6)]
    assert [is_best for _, is_best in shown(rows)] == [True, False, False]


def test_what_looks_the_same_is_equally_good():
    rows = [row(0.10001), row(0.10002), row(0.2)]
    assert [is_best for _, is_best in shown(rows)] == [True, True, False]
    assert not any(is_best for _, is_best in shown(rows[:2]))


def test_a_guide_competes_in_realism_only():
    rows = [row(0.0, method="guide", name=L2), row(4.0, name=L2), row(5.0, name=L2)]
    assert [is_best for _, is_best in shown(rows)] == [False, True, False]
    assert shown([row(0.1, method="guide"), row(0.2)])[0] == ("0.1000", True)


def test_a_metric_that_a_row_lacks_is_a_dash():
    other = row(0.3)
    other["KID (other, 64 px)"] = other.pop(KIDS[0])
    cells = tabulate([row(0.1), other]).rows
    assert [cell.text for cell in cells[0][1:]] == ["0.1000", "–"]
    assert [cell.text for cell in cells[1][1:]] == ["–", "0.3000"]
