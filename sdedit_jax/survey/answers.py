"""The files that raters send back, which anyone may have written: each is checked whole before anything is believed."""

import dataclasses
import json
from pathlib import Path
from typing import Any, NoReturn

from sdedit_jax.survey.errors import SurveyError
from sdedit_jax.survey.key import Key, Page

FOLDER = "answers"
FORMAT = "survey answers 1"  # as a rater may read it, without the name of a method
LARGEST_FILE = 1_000_000  # bytes; a page of 1,000 answers has a tenth of that
LONGEST_RATER = 64
LONGEST_ANSWER = 90 * 24 * 3600 * 1000  # milliseconds; a page may stay open over a holiday


@dataclasses.dataclass(frozen=True)
class Sitting:
    """The answers of one rater to one page."""

    file: str
    rater: str
    page: Page
    choices: tuple[str, ...]
    """``left`` or ``right`` for each trial of the page."""
    seconds: tuple[float, ...]
    """From the moment the pictures were shown."""

    def methods(self, kind: str) -> list[tuple[int, str]]:
        """Number and chosen method of every trial of this kind."""
        chosen = enumerate(zip(self.page.trials, self.choices, strict=True))
        return [(number, trial.method(choice)) for number, (trial, choice) in chosen if trial.kind == kind]


def read_all(folder: Path, key: Key) -> tuple[list[Sitting], list[str]]:
    """The sittings in the files of `folder`, by file name, and one sentence for each file that is not counted.

    A copy of a file counts once; of two different files of one rater for one page none counts, as nobody can tell which
    to believe. SurveyError if `folder` holds no file at all.
    """
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise SurveyError(f"{folder} holds no answers: put the files there that the raters have sent, NAME.json.")
    sittings, rejected = [], []
    for path in paths:
        try:
            sittings.append(read(path, key))
        except SurveyError as error:
            rejected.append(str(error))
    return _once_each(sittings, rejected), rejected


def read(path: Path, key: Key) -> Sitting:
    """The sitting in one file; SurveyError, which names the file, for whatever is not an answer to `key`'s survey."""
    try:
        fields = _parse(path)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            _reject("is not a file of answers: ask for the one that the page saved")
        pages = {page.fingerprint: page for page in key.pages}
        fingerprint = fields.get("fingerprint")
        if not isinstance(fingerprint, str) or fingerprint not in pages:
            _reject("answers another survey, or another version of this one")
        page = pages[fingerprint]
        rater = _rater(fields.get("rater"))
        answers = _answers(fields.get("answers"), len(page.trials))
    except SurveyError as error:
        raise SurveyError(f"{path.name!r} {error}.") from error
    choices = tuple(answer["choice"] for answer in answers)
    return Sitting(path.name, rater, page, choices, tuple(answer["ms"] / 1000 for answer in answers))


def _parse(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        _reject(f"cannot be read ({error.strerror}): copy it again", error)
    if len(data) > LARGEST_FILE:
        _reject(f"has more than {LARGEST_FILE:,} bytes, which no page saves")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        _reject("is damaged or cut off: ask the rater to save it again", error)


def _rater(rater: Any) -> str:
    """The id as it is compared: without the differences that a person makes in writing it twice."""
    if not isinstance(rater, str) or not 0 < len(rater.strip()) <= LONGEST_RATER:
        _reject(f"has no rater id of 1 to {LONGEST_RATER} characters")
    return " ".join(rater.split()).casefold()


def _answers(answers: Any, num_trials: int) -> list[dict[str, Any]]:
    if not isinstance(answers, list) or len(answers) > num_trials:
        _reject(f"does not have the {num_trials} answers of its page")
    if len(answers) < num_trials:
        _reject(
            f"has {len(answers)} of {num_trials} answers: ask the rater to open it in the page, finish and save again"
        )
    for number, answer in enumerate(answers, 1):
        if not isinstance(answer, dict) or answer.get("choice") not in ("left", "right"):
            _reject(f"has an answer that is neither left nor right, number {number}")
        milliseconds = answer.get("ms")
        if type(milliseconds) is not int or not 0 <= milliseconds <= LONGEST_ANSWER:
            _reject(f"has an answer that took no time that is possible, number {number}")
    return answers


def _once_each(sittings: list[Sitting], rejected: list[str]) -> list[Sitting]:
    """The sittings without those of a rater who answered a page twice; adds a sentence for each one that goes."""
    together: dict[tuple[str, str], list[Sitting]] = {}
    for sitting in sittings:
        together.setdefault((sitting.rater, sitting.page.fingerprint), []).append(sitting)
    kept = []
    for first, *others in together.values():
        if all(other.choices == first.choices for other in others):
            kept.append(first)
            rejected += [f"{other.file!r} is a copy of {first.file!r}." for other in others]
        else:
            files = ", ".join(repr(sitting.file) for sitting in (first, *others))
            rejected.append(f"{files} are different answers of one rater to one page: keep the right file only.")
    return kept


def _reject(reason: str, cause: BaseException | None = None) -> NoReturn:
    raise SurveyError(reason) from cause


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
