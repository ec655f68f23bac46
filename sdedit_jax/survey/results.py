"""What the raters prefer, as a table, JSON and CSV."""

import csv
import dataclasses
import json
from pathlib import Path

from sdedit_jax import disk

MEANING = {"realism": "more realistic", "satisfaction": "more satisfactory"}


@dataclasses.dataclass(frozen=True)
class Row:
    """How often the method was preferred to one other, for one question: a cell of the paper's tables."""

    question: str
    method: str
    baseline: str
    percent: float
    low: float
    high: float
    """The ends of the 95 % interval, in percent."""
    preferred: int
    answers: int
    effective_answers: float
    """The number of independent answers that would be worth as much."""
    raters: int
    guides: int


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far raters agree on one question; None where no two raters saw one pair, or alpha does not exist."""

    question: str
    alpha: float | None
    """Krippendorff's: 1 for full agreement, 0 for that of chance."""
    agreeing_pairs: float | None
    """Of two answers to one comparison, the share that is the same."""


@dataclasses.dataclass(frozen=True)
class Results:
    """All that a survey has found, and on whose answers it rests."""

    method: str
    seed: int
    rows: tuple[Row, ...]
    agreements: tuple[Agreement, ...]
    raters: int
    sittings: int
    """Pages answered, by one rater each, that count."""
    excluded: tuple[str, ...]
    """Files of sittings in which a broken picture was preferred."""
    rejected: tuple[str, ...]
    """A sentence for each file that could not be used."""
    self_agreement: float
    """The share of comparisons, asked twice with sides swapped, that were answered alike."""
    left: float
    """The share of comparisons answered with the left picture: far from 0.5, raters favour a side."""
    seconds_an_answer: float
    """Median."""


def write(folder: Path, results: Results) -> None:
    """Writes `results.json` and, with the rows alone, `results.csv` into `folder`.

    Files that are not counted are counted there, not named: their names may tell who the raters are.
    """
    unnamed = {"excluded": len(results.excluded), "rejected": len(results.rejected)}
    with disk.replacing(folder / "results.json") as temporary:
        text = json.dumps(dataclasses.asdict(results) | unnamed, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    with disk.replacing(folder / "results.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in dataclasses.fields(Row)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(row) for row in results.rows)


def table(results: Results) -> str:
    """The paper's columns, one line for each other method, then the raters' agreement and who was not counted."""
    cells = {(row.baseline, row.question): row for row in results.rows}
    width = max(len(f"{results.method} against"), *(len(row.baseline) for row in results.rows))
    heads = "".join(f"   {meaning:>31}" for meaning in MEANING.values())
    lines = [f"{results.method + ' against':{width}}{heads}"]
    for baseline in dict.fromkeys(row.baseline for row in results.rows):
        found = "".join(f"   {_cell(cells.get((baseline, question))):>31}" for question in MEANING)
        lines.append(f"{baseline:{width}}{found}")
    lines.append("Share of answers that prefer it, its 95 % interval, number of answers.")
    lines += [
        f"{MEANING[each.question]}: two raters agree on {_percent(each.agreeing_pairs)}, "
        f"Krippendorff's alpha {'-' if each.alpha is None else format(each.alpha, '.3f')}"
        for each in results.agreements
    ]
    lines.append(
        f"A pair shown again with its sides swapped gets the same answer {_percent(results.self_agreement)} of the "
        f"time; {_percent(results.left)} of the answers are left; median {results.seconds_an_answer:.1f} s."
    )
    lines.append(
        f"{results.raters} raters, {results.sittings} pages answered; not counted: {len(results.excluded)} that "
        f"preferred a broken picture, {len(results.rejected)} files that could not be used."
    )
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    return f"{row.percent:.2f} % [{row.low:.1f}, {row.high:.1f}] {row.answers:5}" if row else "-"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
