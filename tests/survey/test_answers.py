"""Answer files from strangers: what is believed, and the sentence for what is not."""

import json

import pytest

from sdedit_jax.survey import SurveyError
from sdedit_jax.survey.answers import LARGEST_FILE, read, read_all
from tests.survey.small import build, prefer, record, send, write_pictures


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    return folder / "survey", build(write_pictures(folder / "pictures"), folder / "survey")


@pytest.fixture
def answers(surveyed):
    """The folder of answers, empty at the start of each test."""
    folder = surveyed[0] / "answers"
    for path in folder.iterdir():
        path.unlink()
    return folder


def good(key, rater="ada", order=("sdedit", "blur", "poisson")):
    return record(key.pages[0], rater, prefer(*order))


def test_a_good_file_is_read_as_it_was_meant(surveyed, answers):
    folder, key = surveyed
    sitting = read(send(folder, "a.json", good(key, "  Ada\u00a0 Lovelace ")), key)
    assert sitting.rater == "ada lovelace" and sitting.file == "a.json" and sitting.page == key.pages[0]
    assert {method for _, method in sitting.methods("broken")} == {"sdedit"}
    assert sitting.seconds[:2] == (1.5, 1.501)
    for text in ("\ufeff" + json.dumps(good(key)), json.dumps(good(key), indent=9) + "\n\n"):  # as editors save it
        (answers / "b.json").write_text(text, encoding="utf-8")
        assert read(answers / "b.json", key).choices == sitting.choices


def altered(key, **fields):
    return json.dumps(good(key) | fields)


def with_answer(key, answer):
    answers = good(key)["answers"]
    return altered(key, answers=[*answers[:-1], answer])


BAD = {
    "empty": (lambda key: "", "is damaged or cut off: ask the rater"),
    "cut off": (lambda key: json.dumps(good(key))[:-20], "is damaged or cut off"),
    "no text": (lambda key: b"\xff\xfe\x00\x81" * 9, "is damaged or cut off"),
    "deep": (lambda key: "[" * 200_000, "is damaged or cut off"),
    "long number": (lambda key: '{"format": ' + "9" * 5000 + "}", "is damaged or cut off"),
    "NaN": (lambda key: with_answer(key, {"choice": "left", "ms": float("nan")}), "is damaged or cut off"),
    "huge": (lambda key: altered(key, rater="x" * LARGEST_FILE), "has more than 1,000,000 bytes, which no page saves"),
    "a list": (lambda key: "[]", "is not a file of answers"),
    "null": (lambda key: "null", "is not a file of answers"),
    "format": (lambda key: altered(key, format="answers 9"), "is not a file of answers"),
    "another survey": (lambda key: altered(key, fingerprint="0" * 16), "answers another survey, or another version"),
    "odd survey": (lambda key: altered(key, fingerprint=["x"]), "answers another survey"),
    "no survey": (lambda key: altered(key, fingerprint=None), "answers another survey"),
    "no rater": (lambda key: altered(key, rater=" \u00a0\n"), "has no rater id of 1 to 64 characters"),
    "odd rater": (lambda key: altered(key, rater=7), "has no rater id"),
    "long rater": (lambda key: altered(key, rater="x" * 65), "has no rater id"),
    "unfinished": (
        lambda key: altered(key, answers=good(key)["answers"][:3]),
        "has 3 of 14 answers: ask the rater to open it in the page",
    ),
    "too many": (lambda key: altered(key, answers=good(key)["answers"] * 2), "does not have the 14 answers"),
    "no answers": (lambda key: altered(key, answers="left" * 14), "does not have the 14 answers"),
    "a wrong choice": (lambda key: with_answer(key, {"choice": "up", "ms": 1}), "neither left nor right, number 14"),
    "odd choice": (lambda key: with_answer(key, {"choice": ["left"], "ms": 1}), "neither left nor right"),
    "odd answer": (lambda key: with_answer(key, "left"), "neither left nor right"),
    "no time": (lambda key: with_answer(key, {"choice": "left"}), "took no time that is possible, number 14"),
    "past": (lambda key: with_answer(key, {"choice": "left", "ms": -1}), "took no time that is possible"),
    "for ever": (lambda key: with_answer(key, {"choice": "left", "ms": 10**30}), "took no time that is possible"),
    "true time": (lambda key: with_answer(key, {"choice": "left", "ms": True}), "took no time that is possible"),
    "fraction": (lambda key: with_answer(key, {"choice": "left", "ms": 1.5}), "took no time that is possible"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_sentence_and_the_others_count(surveyed, answers, kind):
    folder, key = surveyed
    make, message = BAD[kind]
    content = make(key)
    (answers / "bad.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    send(folder, "good.json", good(key))
    with pytest.raises(SurveyError) as raised:
        read(answers / "bad.json", key)
    sentence = str(raised.value)
    assert message in sentence and sentence.startswith("'bad.json' ") and sentence.endswith(".")
    assert "\n" not in sentence and len(sentence) < 160
    sittings, rejected = read_all(answers, key)
    assert [sitting.file for sitting in sittings] == ["good.json"] and rejected == [sentence]


def test_what_is_no_file_is_said_too(surveyed, answers):
    folder, key = surveyed
    (answers / "loop.json").symlink_to("loop.json")
    (answers / "\x1b[31m'\"<b>.json").write_text("{}")
    send(folder, "good.json", good(key))
    sittings, rejected = read_all(answers, key)
    assert len(sittings) == 1 and len(rejected) == 2
    assert all(sentence.isprintable() for sentence in rejected)  # nothing that a terminal would obey
    assert "cannot be read" in rejected[1]


def test_a_copy_counts_once_and_two_that_differ_not_at_all(surveyed, answers):
    folder, key = surveyed
    send(folder, "a.json", good(key, "ada"))
    send(folder, "b.json", good(key, " ADA "))
    send(folder, "c.json", good(key, "bob"))
    send(folder, "d.json", good(key, "bob", ("poisson", "blur", "sdedit")))
    send(folder, "e.json", record(key.pages[1], "bob", prefer("sdedit", "blur", "poisson")))  # another page
    sittings, rejected = read_all(answers, key)
    assert [sitting.file for sitting in sittings] == ["a.json", "e.json"]
    assert rejected == [
        "'b.json' is a copy of 'a.json'.",
        "'c.json', 'd.json' are different answers of one rater to one page: keep the right file only.",
    ]


def test_no_files_is_an_error(surveyed, answers, tmp_path):
    for folder in (answers, tmp_path / "nowhere"):
        with pytest.raises(SurveyError, match="holds no answers: put the files there that the raters have sent"):
            read_all(folder, surveyed[1])
