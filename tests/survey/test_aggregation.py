"""From raters with known preferences to the percentages, and who is not counted."""

import csv
import dataclasses
import json

import pytest

from sdedit_jax.survey import SurveyError, aggregate, results
from tests.survey.small import build, prefer, record, send, write_pictures

LIKES_SDEDIT = prefer("sdedit", "blur", "poisson")
LIKES_BLUR = prefer("blur", "sdedit", "poisson")


@pytest.fixture
def surveyed(tmp_path):
    return tmp_path / "survey", build(write_pictures(tmp_path / "pictures"), tmp_path / "survey")


def answer_all(folder, key, rater, choose):
    for number, page in enumerate(key.pages):
        send(folder, f"{rater}_{number}.json", record(page, rater, choose))


def cells(found):
    return {(row.question, row.baseline): row for row in found.rows}


def test_known_preferences_give_known_percentages(surveyed):
    folder, key = surveyed
    for rater in ("ada", "bea", "cleo"):
        answer_all(folder, key, rater, LIKES_SDEDIT)
    answer_all(folder, key, "dan", LIKES_BLUR)
    found = aggregate(folder)
    assert found.raters == 4 and found.sittings == 12 and not found.rejected and not found.excluded
    assert [(row.question, row.baseline) for row in found.rows] == [
        (question, baseline) for question in ("realism", "satisfaction") for baseline in ("blur", "poisson")
    ]
    for (_, baseline), row in cells(found).items():
        assert row.percent == (75.0 if baseline == "blur" else 100.0)
        assert row.preferred == (18 if baseline == "blur" else 24) and row.answers == 24
        assert row.raters == 4 and row.guides == 6 and row.method == "sdedit"
        assert 0 < row.low < row.percent <= row.high <= 100
    assert found.self_agreement == 1.0 and found.left == pytest.approx(0.5, abs=0.15)
    assert found.seconds_an_answer == pytest.approx(1.5, abs=0.02)
    for agreement in found.agreements:  # 3 against 1 on 6 comparisons, 4 alike on the others: 9 of 12 pairs agree
        assert agreement.agreeing_pairs == pytest.approx(9 / 12)
        assert agreement.alpha == pytest.approx(1 - (48 - 1) * 6 * (3 * 1 / 3) / (6 * 42))


def test_each_question_is_counted_for_itself(surveyed):
    folder, key = surveyed

    def torn(trial):
        return (LIKES_SDEDIT if trial.question == "realism" else LIKES_BLUR)(trial)

    answer_all(folder, key, "ada", torn)
    percent = {cell: row.percent for cell, row in cells(aggregate(folder)).items()}
    assert percent == {
        ("realism", "blur"): 100.0,
        ("realism", "poisson"): 100.0,
        ("satisfaction", "blur"): 0.0,
        ("satisfaction", "poisson"): 100.0,
    }


def test_who_prefers_a_broken_picture_is_not_counted(surveyed):
    folder, key = surveyed
    answer_all(folder, key, "ada", LIKES_SDEDIT)
    expected = aggregate(folder).rows
    answer_all(folder, key, "left", lambda trial: "left")
    answer_all(folder, key, "right", lambda trial: "right")

    def once(trial):
        return LIKES_BLUR(trial) if trial.left != "broken" or trial.question == "realism" else "left"

    answer_all(folder, key, "once", once)
    found = aggregate(folder)
    assert found.rows == expected and found.raters == 1 and found.sittings == 3
    assert found.excluded == tuple(f"{rater}_{page}.json" for rater in ("left", "once", "right") for page in range(3))


def test_a_rater_of_one_page_counts_beside_raters_of_all(surveyed):
    folder, key = surveyed
    answer_all(folder, key, "ada", LIKES_SDEDIT)
    send(folder, "bea.json", record(key.pages[1], "bea", LIKES_BLUR))
    found = aggregate(folder)
    assert found.raters == 2 and found.sittings == 4
    answers = sum(row.answers for row in found.rows)
    assert answers == 2 * 12 + 2 * 4 and {row.raters for row in found.rows} == {2}


def test_who_answers_a_pair_differently_the_second_time_is_seen(surveyed):
    folder, key = surveyed

    def fickle(trial):
        other = {"left": "right", "right": "left"}
        return other[LIKES_SDEDIT(trial)] if trial.kind == "repeat" else LIKES_SDEDIT(trial)

    answer_all(folder, key, "ada", fickle)
    answer_all(folder, key, "bea", LIKES_SDEDIT)
    found = aggregate(folder)
    assert found.self_agreement == 0.5 and {row.percent for row in found.rows} == {100.0}
    assert {agreement.alpha for agreement in found.agreements} == {None}  # nothing varies


def test_the_files_and_the_table_say_the_same(surveyed):
    folder, key = surveyed
    answer_all(folder, key, "ada", LIKES_SDEDIT)
    answer_all(folder, key, "bea", LIKES_BLUR)
    send(folder, "left.json", record(key.pages[0], "left", lambda trial: "left"))
    (folder / "answers" / "bad.json").write_text("{")
    found = aggregate(folder)
    results.write(folder, found)
    stored = json.loads((folder / "results.json").read_text("utf-8"))
    assert stored == json.loads(json.dumps(dataclasses.asdict(found) | {"excluded": 1, "rejected": 1}))
    text = (folder / "results.json").read_text("utf-8")
    assert not [rater for rater in ("ada", "bea", "left", "bad.json") if rater in text.replace('"left": 0.', "")]
    rows = list(csv.DictReader((folder / "results.csv").open(encoding="utf-8")))
    assert [(row["question"], row["baseline"], float(row["percent"]), int(row["answers"])) for row in rows] == [
        (row.question, row.baseline, row.percent, row.answers) for row in found.rows
    ]
    lines = results.table(found).splitlines()
    assert lines[0].split() == "sdedit against more realistic more satisfactory".split()
    blur = cells(found)["realism", "blur"]
    assert " ".join(lines[1].split()).startswith(f"blur 50.00 % [{blur.low:.1f}, {blur.high:.1f}] 12 ")
    assert "100.00 % [" in lines[2] and len({len(line) for line in lines[:3]}) == 1
    assert "two raters agree on 50%" in lines[4]
    assert lines[-1].endswith("1 that preferred a broken picture, 1 files that could not be used.")


def test_a_pair_that_nobody_was_asked_about_is_a_dash(surveyed):
    folder, key = surveyed
    send(folder, "ada.json", record(key.pages[0], "ada", LIKES_SDEDIT))
    found = aggregate(folder)
    fewer = dataclasses.replace(found, rows=found.rows[:1])
    assert results.table(fewer).splitlines()[1].split()[-1] == "-"


def test_what_cannot_be_aggregated_is_one_sentence(surveyed, tmp_path):
    folder, key = surveyed
    with pytest.raises(SurveyError, match="holds no answers"):
        aggregate(folder)
    answer_all(folder, key, "left", lambda trial: "left")
    with pytest.raises(SurveyError, match="can be counted: in each a broken picture was preferred"):
        aggregate(folder)
    with pytest.raises(SurveyError, match="key.json cannot be read .* give the folder that --mode survey wrote"):
        aggregate(tmp_path / "pictures")
    text = (folder / "key.json").read_text("utf-8")
    for damaged in (
        text[:99],
        "[]",
        "{}",
        text.replace("survey key 1", "x"),
        text.replace('"kind"', '"kinds"'),
        "[" * 99999,
    ):
        (folder / "key.json").write_text(damaged, encoding="utf-8")
        with pytest.raises(SurveyError, match="key.json is not as --mode survey wrote it"):
            aggregate(folder)
