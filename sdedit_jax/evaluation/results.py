"""The rows of an evaluation as files: JSON for programs, CSV for spreadsheets."""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdedit_jax import disk

Row = Mapping[str, Any]


def write(out: Path, rows: Sequence[Row]) -> None:
    """Writes ``results.json``, one object per row, and ``results.csv`` with a column for each mean and each std."""
    with disk.replacing(out / "results.json") as temporary:
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        temporary.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    with disk.replacing(out / "results.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flat)


def metric_names(rows: Sequence[Row]) -> list[str]:
    """The full names of all metrics in the rows, in their order."""
    return list(dict.fromkeys(name for row in rows for name, value in row.items() if is_metric(value)))


def is_metric(value: Any) -> bool:
    """Whether a field of a row is a measured number, with mean and std."""
    return isinstance(value, Mapping) and value.keys() >= {"mean", "std"}


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if is_metric(value):
            flat |= {f"{name}, mean": value["mean"], f"{name}, std": value["std"]}
        else:
            flat[name] = " ".join(value) if isinstance(value, list) else value
    return flat
