"""The key of a survey: which method lay left and which right, for every page. It stays with whoever asks."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from sdedit_jax import disk
from sdedit_jax.survey.design import QUESTIONS, Trial
from sdedit_jax.survey.errors import SurveyError

FILE = "key.json"
FORMAT = "survey key 1"


@dataclasses.dataclass(frozen=True)
class Page:
    """One page for raters."""

    file: str
    fingerprint: str
    """Of all that is on the page; an answer file repeats it."""
    trials: tuple[Trial, ...]


@dataclasses.dataclass(frozen=True)
class Key:
    """All that the pages of a survey do not tell."""

    method: str
    """The one that all others are compared with."""
    baselines: tuple[str, ...]
    seed: int
    pages: tuple[Page, ...]


def write_key(folder: Path, key: Key) -> None:
    """Writes `key` into the survey's folder."""
    with disk.replacing(folder / FILE) as temporary:
        fields = {"format": FORMAT, **dataclasses.asdict(key)}
        temporary.write_text(json.dumps(fields, indent=1) + "\n", encoding="utf-8")


def read_key(folder: Path) -> Key:
    """The key of the survey in `folder`; SurveyError if there is none, or if it was changed into something else."""
    try:
        text = (folder / FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise SurveyError(
            f"{folder / FILE} cannot be read ({error.strerror}): give the folder that --mode survey wrote."
        ) from error
    try:
        return _key(json.loads(text))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise SurveyError(f"{folder / FILE} is not as --mode survey wrote it: take the survey's own file.") from error


def _key(fields: dict[str, Any]) -> Key:
    pages = tuple(
        Page(page["file"], page["fingerprint"], tuple(Trial(**trial) for trial in page["trials"]))
        for page in fields["pages"]
    )
    key = Key(fields["method"], tuple(fields["baselines"]), fields["seed"], pages)
    questions = {trial.question for page in pages for trial in page.trials}
    if fields["format"] != FORMAT or questions != set(QUESTIONS) or not key.baselines:
        raise ValueError("another format")
    return key
