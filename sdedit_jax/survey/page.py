"""One self-contained HTML file: style, program and pictures inside, nothing fetched, and no name of a method."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from sdedit_jax.survey import pictures
from sdedit_jax.survey.design import BROKEN, QUESTIONS, Trial

PARTS = Path(__file__).parents[1] / "assets" / "survey"


def render(trials: list[Trial], files: dict[str, dict[str, Path]], method: str, seed: int) -> tuple[str, str]:
    """The page of `trials`, and its fingerprint: 16 hexadecimal digits that depend on all that it shows.

    `files` are the pictures of every guide; it is `method` whose pictures are spoilt in catch trials. ImageError or
    SurveyError for pictures that cannot be shown.
    """
    content = _content(trials, files, method, seed)
    fingerprint = hashlib.sha256(json.dumps(content).encode("ascii")).hexdigest()[:16]
    return _html({"fingerprint": fingerprint, **content}), fingerprint


def _content(trials: list[Trial], files: dict[str, dict[str, Path]], method: str, seed: int) -> dict[str, Any]:
    """Trials that point to pictures, which lie in an order that tells nothing; a guide only where it is shown."""
    loaded = {name: pictures.load_pictures(files[name]) for name in dict.fromkeys(trial.name for trial in trials)}
    guided = {trial for trial in trials if trial.question == "satisfaction"}
    shown = {(trial.name, side) for trial in trials for side in (trial.left, trial.right)}
    shown |= {(trial.name, pictures.GUIDES) for trial in guided}
    ordered = sorted(shown)
    order = [ordered[index] for index in np.random.default_rng(seed).permutation(len(ordered))]
    place = {picture: index for index, picture in enumerate(order)}
    return {
        "trials": [
            {
                "question": QUESTIONS.index(trial.question),
                "left": place[trial.name, trial.left],
                "right": place[trial.name, trial.right],
                "guide": place[trial.name, pictures.GUIDES] if trial in guided else None,
            }
            for trial in trials
        ],
        "pictures": [
            pictures.encode(pictures.broken(loaded[name][method]) if part == BROKEN else loaded[name][part])
            for name, part in order
        ],
    }


def _html(survey: dict[str, Any]) -> str:
    style, program = ((PARTS / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    # "</script>" inside a string would end the element.
    data = json.dumps(survey).replace("<", "\\u003c")
    parts = {"STYLE": style, "SURVEY": data, "PROGRAM": program, "HASH": _hash(program)}
    html = (PARTS / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        before, after = html.split(f"%{name}%")
        html = before + part + after
    return html


def _hash(program: str) -> str:
    """By which the page's security policy knows its one program."""
    return base64.b64encode(hashlib.sha256(program.encode("utf-8")).digest()).decode("ascii")
