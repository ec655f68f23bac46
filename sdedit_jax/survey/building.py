"""A survey from folders of pictures."""

from pathlib import Path

import numpy as np

from sdedit_jax import disk
from sdedit_jax.survey.answers import FOLDER
from sdedit_jax.survey.design import design
from sdedit_jax.survey.errors import SurveyError
from sdedit_jax.survey.key import Key, Page, write_key
from sdedit_jax.survey.page import render
from sdedit_jax.survey.pictures import find_methods, find_pictures


def build(
    folder: Path, out: Path, *, method: str, num_guides: int, comparisons_per_page: int, seed: int
) -> tuple[Path, ...]:
    """Writes a survey of the pictures in `folder` to `out`, a new folder, and returns its pages, in order.

    `folder` holds `guides` and a folder for each method, with pictures of the same names; `method` is compared with
    each of the others, for `num_guides` of the guides, or all if there are fewer. `out` will hold the pages,
    `key.json`, which raters must not see, and the empty folder `answers`. SurveyError or ImageError, and nothing
    written, for pictures that do not fit together.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise SurveyError(f"{out} is not empty, and answers may be in it: choose a new folder for the survey.")
    methods = find_methods(folder)
    baselines = tuple(name for name in methods if name != method)
    if method not in methods or not baselines:
        raise SurveyError(
            f"{folder} needs a folder {method!r} and one more method to compare it with, but has {methods or 'none'}: "
            "--config.survey.method=NAME says which one is compared with the others."
        )
    files = find_pictures(folder, methods)
    chosen = np.random.default_rng(seed).permutation(sorted(files))[:num_guides].tolist()
    pages = design(chosen, method, baselines, comparisons_per_page, seed)
    names = [f"page_{number:0{len(str(len(pages)))}}.html" for number in range(1, len(pages) + 1)]
    with disk.replacing(out) as temporary:
        (temporary / FOLDER).mkdir(parents=True)
        written = []
        for number, (name, trials) in enumerate(zip(names, pages, strict=True)):
            html, fingerprint = render(trials, files, method, seed + number)
            (temporary / name).write_text(html, encoding="utf-8")
            written.append(Page(name, fingerprint, tuple(trials)))
        write_key(temporary, Key(method, baselines, seed, tuple(written)))
    return tuple(out / name for name in names)
