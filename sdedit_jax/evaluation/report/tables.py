"""Rows of an evaluation -> the table of an experiment: a row for each trial, a column for each metric."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sdedit_jax.evaluation.report.wording import (
    COMMON,
    FAITHFULNESS,
    HIGHER_IS_BETTER,
    METHODS,
    SETTINGS,
    kind,
    with_arrow,
)
from sdedit_jax.evaluation.results import Row, metric_names

DIGITS = 4  # of the largest number of a column, which decides the decimals of all of it,
DECIMALS = 4  # but no more decimals than these, if that leaves it two digits


@dataclasses.dataclass(frozen=True)
class Cell:
    """What stands in one place of a table, as text without any markup."""

    text: str
    std: str = ""
    """Of a metric that has one."""
    is_best: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Heads and cells, and the settings that all rows have in common."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    """Each as long as `heads`; the first cell is the method."""


def tabulate(rows: Sequence[Row]) -> Table:
    """The table of the rows of one experiment.

    A setting has a column if it is not the same in all rows; else it is in the caption. Numbers of a column have the
    same decimals.
    """
    fields, metrics = varying(rows), metric_names(rows)
    heads = ["method", *(SETTINGS[field] for field in fields), *(with_arrow(name) for name in metrics)]
    columns = [
        [Cell(METHODS[row["method"]]) for row in rows],
        *([Cell(as_text(row[field])) for row in rows] for field in fields),
        *(_metric_column(rows, name) for name in metrics),
    ]
    return Table(caption(rows), heads, list(zip(*columns, strict=True)))


def caption(rows: Sequence[Row]) -> str:
    """``model: landscapes; solver: ...; steps: 50``: what the rows have in common."""
    details = {kind(name): row[name].get("detail") for name in metric_names(rows) for row in rows if name in row}
    given = in_common(rows) | {name: detail for name, detail in details.items() if detail}
    return "; ".join(f"{name}: {value}" for name, value in given.items())


def in_common(rows: Sequence[Row]) -> dict[str, str]:
    """The settings of which the rows that have one have the same, by the names that readers know."""
    names = COMMON | SETTINGS
    values = {field: _values(rows, field) for field in names}
    return {names[field]: as_text(found[0]) for field, found in values.items() if len(found) == 1}


def varying(rows: Sequence[Row]) -> list[str]:
    """The fields of the settings that are not the same in all rows that have one."""
    return [field for field in SETTINGS if len(_values(rows, field)) > 1]


def in_order(rows: Sequence[Row]) -> list[Row]:
    """By what is tried; rows that differ in the method alone stay as they are."""
    fields = varying(rows)
    return sorted(rows, key=lambda row: [row[field] or 0 for field in fields])


def as_text(value: Any) -> str:
    """A setting as people write it; nothing where there is none."""
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def guides_of(row: Row) -> tuple[Any, ...]:
    """What decides the guides of a row; rows that have it in common can be compared."""
    return row["task"], row["num_colors"]


def _values(rows: Sequence[Row], field: str) -> list[Any]:
    return list(dict.fromkeys(row[field] for row in rows if row[field] is not None))


def _metric_column(rows: Sequence[Row], name: str) -> list[Cell]:
    decimals = _decimals([row[name]["mean"] for row in rows if name in row])
    best = _best(rows, name, decimals)
    return [
        _metric_cell(row[name], decimals, number in best) if name in row else Cell("–")
        for number, row in enumerate(rows)
    ]


def _metric_cell(result: Mapping[str, float | None], decimals: int, is_best: bool) -> Cell:
    mean, std = (None if value is None else f"{value:.{decimals}f}" for value in (result["mean"], result["std"]))
    assert mean is not None
    return Cell(mean.replace("-", "−"), "" if std is None else f"± {std}", is_best)


def _decimals(values: Sequence[float]) -> int:
    largest = max((abs(value) for value in values), default=0.0)
    if largest == 0.0:
        return 1
    first = -math.floor(math.log10(largest))  # the decimal where its digits begin
    return max(0, min(first + DIGITS - 1, max(first + 1, DECIMALS)))


def _best(rows: Sequence[Row], name: str, decimals: int) -> set[int]:
    """Numbers of the rows that are as good as any with the same guides, as far as the decimals tell.

    None where they are all the same, or there is only one. A guide does not compete with its copies.
    """
    sign = -1.0 if kind(name) in HIGHER_IS_BETTER else 1.0
    groups: dict[tuple[Any, ...], dict[int, float]] = {}
    for number, row in enumerate(rows):
        if name in row and not (row["method"] == "guide" and kind(name) in FAITHFULNESS):
            groups.setdefault(guides_of(row), {})[number] = sign * round(row[name]["mean"], decimals)
    rivals = [group for group in groups.values() if len(set(group.values())) > 1]
    return {number for group in rivals for number, value in group.items() if value == min(group.values())}
