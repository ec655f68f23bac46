"""The modes survey and survey_results: people compare the pictures of several methods."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from sdedit_jax import survey as surveys
from sdedit_jax.cli.results import check_writable, require_positive
from sdedit_jax.survey import key, results

MEGABYTE = 1e6


def survey(config: ConfigDict, source: str | None, out: str | None) -> None:
    """Writes the pages that raters open, and the key that they must not see, into the new folder `out`.

    `source` holds a folder `guides` and one for each method, with pictures of the same names.
    """
    if not source or not out:
        raise ValueError(
            "--mode survey needs --source PICTURES, a folder of guides/ and a folder for each method, and --out SURVEY."
        )
    section: Any = config.survey
    require_positive(section, ("num_guides", "comparisons_per_page"))
    folder = Path(out).expanduser()
    check_writable(folder)
    pages = surveys.build(Path(source).expanduser(), folder, seed=config.to_dict()["seed"], **section.to_dict())
    for page in pages:
        print(f"{page}  {page.stat().st_size / MEGABYTE:.2f} MB")
    print(
        f"Give the pages to the raters and keep {folder / key.FILE}, which tells the methods. Put their files into "
        f"{folder / 'answers'}, then: --mode survey_results --source {folder}"
    )


def survey_results(source: str | None, out: str | None) -> None:
    """Writes what the raters of the survey in the folder `source` prefer into `out`, by default that folder."""
    if not source:
        raise ValueError("--mode survey_results needs --source SURVEY, the folder that --mode survey wrote.")
    folder = Path(source).expanduser()
    destination = Path(out).expanduser() if out else folder
    check_writable(destination)
    found = surveys.aggregate(folder)
    results.write(destination, found)
    for sentence in found.rejected:
        print(f"Not counted: {sentence}")
    for file in found.excluded:
        print(f"Not counted: in {file!r} a broken picture was preferred.")
    print(results.table(found))
