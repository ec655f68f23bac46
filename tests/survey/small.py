"""Small surveys, and raters who know what they want."""

import json

import numpy as np
from PIL import Image

from sdedit_jax import survey
from sdedit_jax.survey import key

METHODS = ("sdedit", "blur", "poisson")
SIZE = (12, 16)  # height and width


def write_pictures(folder, count=6, methods=METHODS, names=None, size=SIZE):
    """A folder of pictures as a survey wants it: guides, and every method's result of each, all of them different."""
    names = names or [f"{number:04}" for number in range(count)]
    for seed, part in enumerate(("guides", *methods)):
        (folder / part).mkdir(parents=True)
        for number, name in enumerate(names):
            noise = np.random.default_rng([seed, number]).integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / part / f"{name}.png")
    return folder


def build(pictures, out, **settings):
    """A survey of `pictures` in `out`, and its key."""
    settings = {"method": "sdedit", "num_guides": 100, "comparisons_per_page": 4, "seed": 0} | settings
    pages = survey.build(pictures, out, **settings)
    found = key.read_key(out)
    assert [page.file for page in found.pages] == [page.name for page in pages]
    return found


def prefer(*order):
    """A rater who chooses the method that stands first in `order`; what is broken comes last."""
    ranks = [*order, "broken"]
    return lambda trial: "left" if ranks.index(trial.left) < ranks.index(trial.right) else "right"


def record(page, rater, choose):
    """What the page saves of a rater for whom `choose` says "left" or "right" to each trial."""
    answers = [{"choice": choose(trial), "ms": 1500 + number} for number, trial in enumerate(page.trials)]
    times = {"started": "2026-01-01T10:00:00.000Z", "finished": "2026-01-01T10:05:00.000Z"}
    return {"format": "survey answers 1", "fingerprint": page.fingerprint, "rater": rater, **times, "answers": answers}


def send(folder, name, fields):
    """Puts an answer file into the survey's folder."""
    path = folder / "answers" / name
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path
