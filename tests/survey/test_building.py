"""A survey on disk: what is on a page, what is not, and pictures that do not fit together."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdedit_jax.images import ImageError
from sdedit_jax.survey import SurveyError
from sdedit_jax.survey.pictures import broken
from tests.survey.small import METHODS, build, write_pictures


def data_of(path):
    (text,) = re.findall(r'<script type="application/json" id="survey">(.*?)</script>', path.read_text("utf-8"))
    return json.loads(text)


def pixels(encoded):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def stored(path):
    return np.asarray(Image.open(path))


def test_the_pictures_on_a_page_are_those_of_the_key(tmp_path):
    pictures = write_pictures(tmp_path / "pictures")
    key = build(pictures, tmp_path / "survey")
    assert sum(len(page.trials) for page in key.pages) == 3 * 2 * (4 + 3)  # 6 guides x 2 methods, 4 on a page
    for page in key.pages:
        data = data_of(tmp_path / "survey" / page.file)
        assert data["fingerprint"] == page.fingerprint
        for asked, trial in zip(data["trials"], page.trials, strict=True):
            for side, method in (("left", trial.left), ("right", trial.right)):
                path = pictures / ("sdedit" if method == "broken" else method) / f"{trial.name}.png"
                shown, expected = pixels(data["pictures"][asked[side]]), stored(path)
                np.testing.assert_array_equal(shown, broken(expected) if method == "broken" else expected)
            if trial.question == "realism":
                assert asked["question"] == 0 and asked["guide"] is None
            else:
                guide = stored(pictures / "guides" / f"{trial.name}.png")
                np.testing.assert_array_equal(pixels(data["pictures"][asked["guide"]]), guide)
                assert asked["question"] == 1


NASTY = ["</script><script>alert(1)</script>".replace("/", "∕"), "a\"b'c", "<!--", "&amp;", "%SURVEY%", "ü 漢", "-rf"]


def test_no_name_and_no_metadata_is_on_a_page(tmp_path):
    pictures = write_pictures(tmp_path / "pictures", names=NASTY)
    for part in METHODS:
        path = pictures / part / f"{NASTY[0]}.png"
        chunks = PngInfo()
        chunks.add_itxt("sdedit", f"made by {part}")
        Image.open(path).save(path, pnginfo=chunks)
    key = build(pictures, tmp_path / "survey", comparisons_per_page=100)
    assert {trial.name for trial in key.pages[0].trials} == set(NASTY)
    text = (tmp_path / "survey" / key.pages[0].file).read_text("utf-8")
    for word in (*NASTY, *METHODS, "broken", str(tmp_path)):
        assert word not in text, word
    data = data_of(tmp_path / "survey" / key.pages[0].file)
    assert set(data) == {"fingerprint", "trials", "pictures"}
    assert {type(value) for trial in data["trials"] for value in trial.values()} == {int, type(None)}
    for encoded in data["pictures"]:
        assert not Image.open(io.BytesIO(base64.b64decode(encoded))).info


def test_a_page_asks_for_nothing_from_outside(tmp_path):
    key = build(write_pictures(tmp_path / "pictures"), tmp_path / "survey")
    text = (tmp_path / "survey" / key.pages[0].file).read_text("utf-8")
    assert "default-src 'none'" in text and "%HASH%" not in text
    assert not re.findall(r"https?://|@import|url\(", text)
    assert set(re.findall(r'(?:src|href)="(.*?)"', text)) <= {"data:,"}


def test_a_broken_picture_is_far_from_what_it_was_and_keeps_its_size():
    picture = np.random.default_rng(0).integers(0, 256, (13, 18, 3), dtype=np.uint8)
    spoilt = broken(picture)
    assert spoilt.shape == picture.shape and (spoilt != picture).mean() > 0.9
    np.testing.assert_array_equal(np.sort(255 - spoilt, axis=None), np.sort(picture, axis=None))
    flat = np.full((8, 8, 3), 40, np.uint8)
    np.testing.assert_array_equal(broken(flat), 215)  # even where there is nothing to put out of order


def test_the_fingerprint_tells_pages_and_versions_apart(tmp_path):
    pictures = write_pictures(tmp_path / "pictures")
    keys = [build(pictures, tmp_path / f"survey{number}", seed=seed) for number, seed in enumerate((0, 0, 1))]
    prints = [[page.fingerprint for page in key.pages] for key in keys]
    assert prints[0] == prints[1] and not set(prints[0]) & set(prints[2])
    assert len({*prints[0], *prints[2]}) == 6
    Image.new("RGB", (16, 12)).save(pictures / "blur" / "0000.png")
    changed = [page.fingerprint for page in build(pictures, tmp_path / "changed").pages]
    assert changed != prints[0]


def test_only_some_of_the_guides_are_asked_about(tmp_path):
    key = build(write_pictures(tmp_path / "pictures"), tmp_path / "survey", num_guides=2, comparisons_per_page=15)
    assert len({trial.name for trial in key.pages[0].trials}) == 2 and len(key.pages) == 1
    assert key.method == "sdedit" and key.baselines == ("blur", "poisson") and key.seed == 0


def remove(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def add(folder, name):
    (folder / name).mkdir()
    Image.new("RGB", (16, 12)).save(folder / name / "0000.png")


WRONG = {
    "no guides": (lambda folder: remove(folder / "guides"), "has no folder guides"),
    "no method": (lambda folder: (folder / "sdedit").rename(folder / "ours"), r"needs a folder 'sdedit' .* 'ours'"),
    "alone": (lambda folder: [remove(folder / m) for m in METHODS[1:]], "one more method to compare it with"),
    "missing": (lambda folder: (folder / "blur" / "0003.png").unlink(), r"guides/0003.png has no partner in .*blur"),
    "extra": (lambda folder: Image.new("RGB", (1, 1)).save(folder / "blur" / "x.png"), "x.png has no partner in .*gui"),
    "size": (
        lambda folder: Image.new("RGB", (8, 9)).save(folder / "blur" / "0001.png"),
        r"blur/0001.png is 8 x 9 pixels but the guide .* is 16 x 12 pixels: a size gives the method away",
    ),
    "damaged": (lambda folder: (folder / "blur" / "0001.png").write_bytes(b"no"), "0001.png is not a picture"),
    "twice": (lambda folder: Image.new("RGB", (16, 12)).save(folder / "blur" / "0001.jpg"), "share one name: rename"),
    "html": (lambda folder: add(folder, "<b>"), "'<b>' cannot be a method's name"),
    "formula": (lambda folder: add(folder, "=1+1"), "'=1[+]1' cannot be a method's name"),
    "reserved": (lambda folder: add(folder, "broken"), "'broken' cannot be a method's name"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_does_not_fit_together_is_one_sentence_and_writes_nothing(tmp_path, kind):
    change, message = WRONG[kind]
    pictures = write_pictures(tmp_path / "pictures")
    change(pictures)
    with pytest.raises((SurveyError, ImageError), match=message):
        build(pictures, tmp_path / "survey")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_survey_is_never_written_over(tmp_path):
    pictures = write_pictures(tmp_path / "pictures")
    (tmp_path / "survey").mkdir()
    build(pictures, tmp_path / "survey")  # an empty folder is no survey
    before = (tmp_path / "survey" / "key.json").read_bytes()
    with pytest.raises(SurveyError, match="survey is not empty, and answers may be in it"):
        build(pictures, tmp_path / "survey", seed=1)
    assert (tmp_path / "survey" / "key.json").read_bytes() == before
    with pytest.raises(SurveyError, match="nowhere is not a folder"):
        build(tmp_path / "nowhere", tmp_path / "other")
