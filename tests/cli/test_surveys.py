"""The modes survey and survey_results, as a user types them."""

import json

import pytest

from configs import default
from sdedit_jax import cli
from sdedit_jax.survey import SurveyError, key
from tests.cli.test_arguments import run_main
from tests.survey.small import prefer, record, send, write_pictures

CHOOSE = prefer("sdedit", "blur", "poisson")


def test_from_pictures_to_percentages_and_never_jax(tmp_path):
    write_pictures(tmp_path / "pictures")
    arguments = ["--mode", "survey", "--source", "pictures", "--out", "survey", "--seed=5"]
    code, said, error, imported = run_main(*arguments, "--config.survey.comparisons_per_page=8", cwd=tmp_path)
    assert code == 0 and not error and "jax" not in imported
    found = key.read_key(tmp_path / "survey")
    assert found.seed == 5 and [page.file for page in found.pages] == ["page_1.html", "page_2.html"]
    lines = said.splitlines()
    size = (tmp_path / "survey" / "page_1.html").stat().st_size / 1e6
    assert lines[0] == f"survey/page_1.html  {size:.2f} MB" and len(lines) == 3
    assert "keep survey/key.json" in lines[-1] and lines[-1].endswith("--mode survey_results --source survey")
    for rater in ("ada", "bea"):
        for number, page in enumerate(found.pages):
            send(tmp_path / "survey", f"{rater}{number}.json", record(page, rater, CHOOSE))
    send(tmp_path / "survey", "careless.json", record(found.pages[0], "careless", lambda trial: "left"))
    (tmp_path / "survey" / "answers" / "cut.json").write_text("{")
    code, said, error, imported = run_main("--mode=survey_results", "--source", "survey", "--out=there", cwd=tmp_path)
    assert code == 0 and not error and "jax" not in imported
    lines = said.splitlines()
    assert lines[0].startswith("Not counted: 'cut.json' is damaged or cut off")
    assert lines[1] == "Not counted: in 'careless.json' a broken picture was preferred."
    assert lines[2].startswith("sdedit against") and lines[3].startswith("blur") and "100.00 %" in lines[3]
    stored = json.loads((tmp_path / "there" / "results.json").read_text("utf-8"))
    assert stored["raters"] == 2 and stored["excluded"] == 1 and stored["rejected"] == 1
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["results.csv", "results.json"]


def test_without_out_results_lie_beside_the_key(tmp_path):
    config = default.get_config()
    cli.survey(config, str(write_pictures(tmp_path / "pictures")), str(tmp_path / "survey"))
    (page,) = key.read_key(tmp_path / "survey").pages
    send(tmp_path / "survey", "ada.json", record(page, "ada", CHOOSE))
    cli.survey_results(str(tmp_path / "survey"), None)
    assert (tmp_path / "survey" / "results.csv").read_text("utf-8").count("\n") == 5


def test_what_is_missing_is_one_sentence(tmp_path):
    config = default.get_config()
    with pytest.raises(ValueError, match="--mode survey needs --source PICTURES"):
        cli.survey(config, None, "out")
    with pytest.raises(ValueError, match="--mode survey needs --source PICTURES"):
        cli.survey(config, "pictures", None)
    with pytest.raises(ValueError, match="--mode survey_results needs --source SURVEY"):
        cli.survey_results(None, None)
    with pytest.raises(SurveyError, match="key.json cannot be read"):
        cli.survey_results(str(tmp_path), None)
    config.survey.comparisons_per_page = 0
    with pytest.raises(ValueError, match="comparisons_per_page must be 1 or more, got 0"):
        cli.survey(config, str(write_pictures(tmp_path / "pictures")), str(tmp_path / "survey"))
    config.survey.comparisons_per_page, config.survey.method = 1, "ours"
    with pytest.raises(SurveyError, match="needs a folder 'ours' and one more method .* --config.survey.method=NAME"):
        cli.survey(config, str(tmp_path / "pictures"), str(tmp_path / "survey"))
    assert not (tmp_path / "survey").exists()
