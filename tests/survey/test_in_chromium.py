"""A page in a real browser: answered by keyboard and by touch, interrupted, saved, and counted."""

import json

import pytest

from sdedit_jax.survey import aggregate
from tests.browser import chromium, needs_chromium
from tests.survey.small import build, prefer, record, send, write_pictures

pytestmark = needs_chromium
LIKES_SDEDIT = prefer("sdedit", "blur")
LIKES_BLUR = prefer("blur", "sdedit")


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    """A survey of one page with four comparisons and fourteen trials."""
    folder = tmp_path_factory.mktemp("study")
    pictures = write_pictures(folder / "pictures", count=4, methods=("sdedit", "blur"), size=(48, 64))
    return folder / "survey", build(pictures, folder / "survey")


def begin(browser, folder, key, rater):
    """Opens the page, gives the id and agrees; what the page asks first."""
    browser.open((folder / key.pages[0].file).as_uri())
    browser.tap("#rater")
    browser.press(rater, "enter")
    browser.wait("document.body.dataset.screen === 'part'")
    return browser.run("return document.querySelector('#part h1').textContent")


def shown(browser, number):
    """Goes on to trial `number`, through the page of its part if there is one, and waits until it takes an answer."""
    if browser.run("return document.body.dataset.screen") == "part":
        browser.press("enter")
    browser.wait(f"document.body.dataset.ready === '{number}'")


def answer(browser, key, choose, numbers):
    for number in numbers:
        shown(browser, number)
        browser.press(choose(key.pages[0].trials[number]))


def test_a_survey_is_answered_by_keyboard_and_gives_the_known_percentages(surveyed, tmp_path):
    folder, key = surveyed
    (page,) = key.pages
    for choose, rater in ((LIKES_SDEDIT, "bea"), (LIKES_SDEDIT, "cleo")):
        send(folder, f"{rater}.json", record(page, rater, choose))
    with chromium(tmp_path) as browser:
        assert "more realistic" in begin(browser, folder, key, "Ada <b>\"'")
        answer(browser, key, LIKES_BLUR, range(5))
        shown(browser, 5)
        wrong = {"left": "right", "right": "left"}[LIKES_BLUR(page.trials[5])]
        browser.press(wrong)
        shown(browser, 6)
        browser.press("backspace")
        shown(browser, 5)
        assert browser.run("return document.getElementById('counted').textContent") == "5 of 14"
        browser.open((folder / page.file).as_uri())  # a reload forgets nothing
        assert browser.run("return document.getElementById('rater').value") == "Ada <b>\"'"
        browser.tap("#begin button")
        answer(browser, key, LIKES_BLUR, range(5, 7))
        assert "better result" in browser.wait("document.querySelector('#part h1').textContent")
        browser.press("right")  # the page of a part is no trial
        answer(browser, key, LIKES_BLUR, range(7, 14))
        browser.wait("document.body.dataset.screen === 'done'")
        browser.press("enter")  # the button to save has the focus
        saved = browser.downloaded()
        assert not browser.complaints()
        assert set(browser.requests()) == {(folder / page.file).as_uri()}
        assert browser.run("return document.getElementById('text').value") == saved.read_text("utf-8")
        browser.open((folder / page.file).as_uri())
        assert browser.run("return document.getElementById('rater').readOnly")  # nobody else takes these answers over
        browser.tap("#anew")
        assert browser.run("return document.activeElement.value === '' && !document.activeElement.readOnly")
        browser.open((folder / page.file).as_uri())
        assert browser.run("return record.answers.length === 0 && document.getElementById('anew').hidden")
    (folder / "answers" / saved.name).write_bytes(saved.read_bytes())
    fields = json.loads(saved.read_text("utf-8"))
    assert [each["choice"] for each in fields["answers"]] == [LIKES_BLUR(trial) for trial in page.trials]
    assert fields["rater"] == "Ada <b>\"'" and fields["fingerprint"] == page.fingerprint
    assert fields["started"] < fields["finished"] and all(300 <= each["ms"] < 60_000 for each in fields["answers"])
    found = aggregate(folder)
    assert found.raters == 3 and not found.rejected and not found.excluded and found.self_agreement == 1.0
    assert [(row.question, row.preferred, row.answers) for row in found.rows] == [
        ("realism", 8, 12),
        ("satisfaction", 8, 12),
    ]
    assert {round(row.percent, 6) for row in found.rows} == {round(200 / 3, 6)}


SEEN = """
const box = (id) => (document.querySelector(`#${id} img`) ?? document.getElementById(id)).getBoundingClientRect();
const shows = ["left", "right", ...(document.getElementById("guide").hidden ? [] : ["guide"])];
shows.push("status");
return shows.map((id) => [id, box(id).left, box(id).top, box(id).right, box(id).bottom, box(id).width]);
"""


@pytest.mark.parametrize("size", [(320, 568), (844, 390)])
def test_a_phone_shows_all_pictures_at_once_and_takes_taps(surveyed, tmp_path, size):
    folder, key = surveyed
    width, height = size
    begun = record(key.pages[0], "ada", LIKES_SDEDIT)
    begun["answers"] = begun["answers"][:6]
    (tmp_path / "begun.json").write_text(json.dumps(begun), encoding="utf-8")
    with chromium(tmp_path / "browser", width, height, phone=True) as browser:
        browser.open((folder / key.pages[0].file).as_uri())
        browser.choose_file("#file", tmp_path / "begun.json")
        browser.wait("record.answers.length === 6")
        browser.tap("#begin button", "touch")
        for number, trial in list(enumerate(key.pages[0].trials))[6:9]:
            shown(browser, number)
            boxes = {name: box for name, *box in browser.run(SEEN)}
            assert ("guide" in boxes) == (trial.question == "satisfaction")
            for left, top, right, bottom, wide in boxes.values():
                assert 0 <= left < right <= width and 0 <= top < bottom <= height and wide > 100  # nothing scrolls
            assert boxes["left"][2] < boxes["right"][0] and boxes["left"][1] == boxes["right"][1]
            browser.tap(f"#{LIKES_SDEDIT(trial)}", "touch")
        answers = browser.run("return record.answers.map((answer) => answer.choice)")
        assert answers == [LIKES_SDEDIT(trial) for trial in key.pages[0].trials[:9]]


def test_without_storage_the_answers_go_on_through_a_file(surveyed, tmp_path):
    folder, key = surveyed
    with chromium(tmp_path / "first", storage=False) as browser:
        begin(browser, folder, key, "ada")
        answer(browser, key, LIKES_SDEDIT, range(3))
        assert "This browser forgets your answers" in browser.run(
            "return document.getElementById('message').textContent"
        )
        browser.tap("#pause")
        saved = browser.downloaded()
        browser.open((folder / key.pages[0].file).as_uri())
        assert browser.run("return record.answers.length") == 0
        other = tmp_path / "other.json"
        for wrong in (json.dumps(json.loads(saved.read_text("utf-8")) | {"fingerprint": "0" * 16}), "<html>", "null"):
            other.write_text(wrong, encoding="utf-8")
            browser.choose_file("#file", other)
            browser.wait("document.getElementById('message').textContent.includes('holds no answers to this page')")
            browser.run("document.getElementById('message').textContent = ''")
        browser.choose_file("#file", saved)
        browser.wait("document.querySelector('#begin button').textContent.includes('continue after 3 of 14')")
        browser.tap("#begin button")
        answer(browser, key, LIKES_SDEDIT, range(3, 4))
        assert browser.wait("record.answers.length === 4 && record.rater === 'ada'")


def test_a_page_can_be_used_without_seeing_it_and_without_a_mouse(surveyed, tmp_path):
    folder, key = surveyed
    with chromium(tmp_path) as browser:
        browser.open((folder / key.pages[0].file).as_uri() + "?rater=W1234")
        assert browser.run("return document.getElementById('rater').value") == "W1234"
        assert browser.run("return document.activeElement.textContent") == "Which picture?"
        for control in ("rater", "", "file"):
            browser.press("tab")
            assert browser.run("return document.activeElement.id") == control
        browser.tap("#begin button")
        browser.wait("document.activeElement.id === 'go'")
        shown(browser, 0)
        names = browser.run("return [...document.images].map((image) => image.alt)")
        assert names == ["The input that both pictures were made from", "The left picture", "The right picture"]
        assert browser.run("return document.activeElement.id") == "question"
        browser.press("tab", "enter")
        shown(browser, 1)
        assert browser.run("return record.answers[0].choice") == "left"
        browser.press("right", "right", "right", "left")  # faster than anybody can look
        shown(browser, 2)
        assert browser.run("return record.answers.length") == 2
        contrasts = browser.run(CONTRASTS)
        assert len(contrasts) > 5 and min(contrasts) > 4.5  # WCAG 2.2, level AA


CONTRASTS = """
const light = (colour) => {
  const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
  const [r, g, b] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  const colour = getComputedStyle(node).backgroundColor;
  return colour.endsWith(", 0)") ? ground(node.parentElement) : colour;
};
const texts = [...document.querySelectorAll("h1, p, kbd, label, label span, button, #counted, figcaption, summary")];
return texts.map((node) => {
  const [low, high] = [light(getComputedStyle(node).color), light(ground(node))].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
});
"""
