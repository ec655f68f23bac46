"""An evaluation can be cut anywhere and gone on with, and its rows depend on nothing but pictures and trials."""

import dataclasses
import json

import numpy as np
import pytest

from sdedit_jax.evaluation import EvaluationError
from sdedit_jax.evaluation.running import read_rows, remaining, require_same_settings
from sdedit_jax.images import load_image
from sdedit_jax.survey.pictures import find_methods, find_pictures
from tests.evaluation.few import COMMON, COUNT, GUIDE, MASKED, PICTURES, SDEDIT, TRIALS, Edits, job, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder and the rows of an uninterrupted evaluation."""
    out = tmp_path_factory.mktemp("whole")
    return out, run(out)


def test_rows_say_what_was_tried_and_what_came_of_it(whole):
    _, rows = whole
    assert [row["method"] for row in rows] == ["sdedit", "guide", "sdedit"]
    for row, (trial, experiments) in zip(rows, TRIALS.items(), strict=True):
        assert row.items() >= (dataclasses.asdict(trial) | COMMON | {"count": COUNT}).items()
        assert row["experiments"] == experiments
        kid = row["KID (mean colours, 8 px)"]
        assert kid["std"] > 0.0 and kid["detail"] == "100 subsets of 3, seed 2020"  # half of the pictures
    names = [sorted(name for name in row if "8 px" in name and "KID" not in name) for row in rows]
    plain = ["CMMD's MMD (mean colours, 8 px)", "L2 (8 px)", "LPIPS (none, 8 px)"]
    plain += [f"{metric} (mean colours, 8 px)" for metric in ("precision", "recall")]
    assert names[0] == names[1] == plain
    assert names[2] == sorted([*plain, "L2, edited (8 px)", "masked LPIPS (none, 8 px)"])


def test_the_guides_are_at_no_distance_from_themselves(whole):
    _, rows = whole
    assert rows[1]["L2 (8 px)"] == rows[1]["LPIPS (none, 8 px)"] == {"mean": 0.0, "std": 0.0, "detail": ""}
    assert rows[0]["L2 (8 px)"]["mean"] > 0.0
    # Outside the mask nothing changed, so all of the distance is inside.
    assert rows[2]["masked LPIPS (none, 8 px)"]["mean"] == 0.0
    assert rows[2]["L2 (8 px)"]["mean"] == pytest.approx(rows[2]["L2, edited (8 px)"]["mean"], rel=1e-12)


@pytest.mark.parametrize("fail_at", range(9))
def test_an_interrupted_evaluation_goes_on_to_the_same_rows(fail_at, whole, tmp_path):
    first = Edits(fail_at)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, first)
    assert remaining(job(tmp_path, first), TRIALS) == 9 - fail_at
    second = Edits()
    rows = run(tmp_path, second)
    assert rows == whole[1]
    assert len(first.asked) + len(second.asked) == 9  # three batches of three trials, none of them twice
    third = Edits()
    assert run(tmp_path, third) == rows and not third.asked


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_rows_do_not_depend_on_batches(batch_size, whole, tmp_path):
    for row, wanted in zip(run(tmp_path, batch_size=batch_size), whole[1], strict=True):
        for name, value in wanted.items():
            assert row[name] == value, name


def test_a_shorter_batch_is_filled_up_so_that_one_program_serves_all(tmp_path):
    edits = Edits()
    run(tmp_path, edits, trials={SDEDIT: ["t0"]})
    assert [numbers for _, numbers in edits.asked] == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]


def test_edits_that_are_not_finite_are_no_row(tmp_path):
    with pytest.raises(EvaluationError, match=f"{SDEDIT.name}: 100.0% of the pixels are not finite"):
        run(tmp_path, Edits(broken=True))
    assert not (tmp_path / "rows").exists() and not list(tmp_path.glob("edits/**/*.npy"))


def test_the_pictures_of_the_main_comparisons_are_a_survey(whole):
    out, _ = whole
    folder = out / "pictures" / "strokes"
    methods = find_methods(folder)
    assert methods == ["sdedit"]  # the guides have a folder of their own
    assert len(find_pictures(folder, methods)) == 5
    assert {path.name for path in (out / "pictures").iterdir()} == {"strokes", "compositing"}


def test_pictures_are_kept_of_the_first_edits_and_batches_of_none(whole):
    out, _ = whole
    for trial in TRIALS:
        names = sorted(path.name for path in (out / "shown" / trial.name).iterdir())
        assert names == [f"{number:04d}.png" for number in range(5)]
    guide = load_image(out / "shown" / GUIDE.guides / "0003.png")
    np.testing.assert_array_equal(load_image(out / "shown" / GUIDE.name / "0003.png"), guide)
    assert not list((out / "edits").iterdir())


def test_a_trial_that_was_made_for_another_experiment_joins_the_survey(tmp_path):
    run(tmp_path, trials={SDEDIT: ["t0"]})
    assert not (tmp_path / "pictures").exists()
    edits = Edits()
    run(tmp_path, edits, trials={SDEDIT: ["synthesis"]})
    assert not edits.asked and find_methods(tmp_path / "pictures" / "strokes") == ["sdedit"]


def test_what_is_pasted_comes_from_another_picture(whole):
    out, _ = whole
    with np.load(out / "guides" / MASKED.guides / "000000-000003.npz") as file:
        np.testing.assert_array_equal(file["x_background"], PICTURES[:3])
        np.testing.assert_array_equal(file["x_foreground"], PICTURES[3:6])


def test_a_folder_is_of_one_model_and_one_way_of_measuring(tmp_path):
    settings = {"model": "a", "networks": ("x", "y")}
    for _ in range(2):
        require_same_settings(tmp_path, settings)
    with pytest.raises(EvaluationError, match="results of another model: 'a' instead of 'b'.*choose another --out"):
        require_same_settings(tmp_path, settings | {"model": "b"})
    with pytest.raises(EvaluationError, match="results of another new: None instead of 1"):
        require_same_settings(tmp_path, settings | {"new": 1})
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(EvaluationError, match="settings.json is damaged"):
        require_same_settings(tmp_path, settings)


@pytest.mark.parametrize("second", [2, 4, 7])
def test_batches_of_another_length_after_an_interruption_change_nothing(second, whole, tmp_path):
    for fail_at in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / str(fail_at), Edits(fail_at))
        assert run(tmp_path / str(fail_at), batch_size=second) == whole[1]


def test_large_seeds_are_trials_of_their_own(tmp_path):
    first, second = (dataclasses.replace(SDEDIT, seed=seed) for seed in (20260101, 20260102))
    rows = run(tmp_path, trials={first: ["t0"], second: ["t0"]})
    assert rows[0]["L2 (8 px)"] != rows[1]["L2 (8 px)"]


def test_rows_join_experiments_and_all_of_them_are_read(tmp_path):
    run(tmp_path, trials={SDEDIT: ["t0"], GUIDE: ["synthesis"]})
    run(tmp_path, trials={SDEDIT: ["synthesis"]})
    rows = read_rows(tmp_path, [MASKED, GUIDE])  # of which one is not there
    found = [(row["method"], row["experiments"]) for row in rows]
    assert found == [("guide", ["synthesis"]), ("sdedit", ["t0", "synthesis"])]


def test_damaged_guides_are_made_again_and_damaged_edits_are_named(whole, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Edits(2))
    for path in (tmp_path / "guides").rglob("*.npz"):
        path.write_bytes(path.read_bytes()[:100])
    assert run(tmp_path, trials={SDEDIT: TRIALS[SDEDIT]}) == whole[1][:1]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "again", Edits(2))
    path = min((tmp_path / "again" / "edits").rglob("*.npy"))
    path.write_bytes(b"")
    with pytest.raises(EvaluationError, match="000000-000003.npy is damaged.*remove it, and start the same command"):
        run(tmp_path / "again")


def test_a_damaged_row_is_named(whole, tmp_path):
    run(tmp_path, trials={GUIDE: ["synthesis"]})
    path = tmp_path / "rows" / f"{GUIDE.name}.json"
    assert json.loads(path.read_text())["method"] == "guide"
    path.write_text("{")
    with pytest.raises(EvaluationError, match=f"{GUIDE.name}.json is damaged.*remove it"):
        run(tmp_path, trials={GUIDE: ["synthesis"]})
