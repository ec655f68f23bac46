"""Rows are written so that programs and spreadsheets read back what was measured."""

import csv
import json

from sdedit_jax.evaluation import results

ROWS = [
    {"method": "sdedit", "t0": 0.4, "KID (a, 8 px)": {"mean": 0.1, "std": 0.01}, "experiments": ["t0", "steps"]},
    {"method": "guide, é", "t0": None, "FID (a, 8 px)": {"mean": 3.0, "std": None}, "experiments": []},
]


def test_json_is_the_rows_one_a_line(tmp_path):
    results.write(tmp_path, ROWS)
    text = (tmp_path / "results.json").read_text(encoding="utf-8")
    assert json.loads(text) == ROWS and len(text.splitlines()) == len(ROWS) + 2


def test_csv_has_a_column_for_each_mean_and_std(tmp_path):
    results.write(tmp_path, ROWS)
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert first["KID (a, 8 px), mean"] == "0.1" and first["KID (a, 8 px), std"] == "0.01"
    assert first["experiments"] == "t0 steps" and first["FID (a, 8 px), mean"] == ""
    assert second["method"] == "guide, é" and second["t0"] == second["FID (a, 8 px), std"] == ""


def test_metrics_are_found_by_their_form():
    assert results.metric_names(ROWS) == ["KID (a, 8 px)", "FID (a, 8 px)"]
