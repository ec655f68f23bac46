"""What a report says of each experiment, before anything is said of its form."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from sdedit_jax.evaluation.report import figures, wording
from sdedit_jax.evaluation.report.figures import Drawing
from sdedit_jax.evaluation.report.tables import Table, as_text, guides_of, in_order, tabulate, varying
from sdedit_jax.evaluation.results import Row
from sdedit_jax.evaluation.trials import Trial

NUM_SHOWN = 8  # pictures of each trial


@dataclasses.dataclass(frozen=True)
class Strip:
    """A row of pictures: guides, or what a trial made of them."""

    label: str
    paths: Sequence[Path]


@dataclasses.dataclass(frozen=True)
class Section:
    """One experiment."""

    name: str
    title: str
    sentence: str
    table: Table
    drawings: Sequence[Drawing]
    strips: Sequence[Sequence[Strip]]
    """Groups, each of guides and then all that was made of them."""


def make_sections(out: Path, rows: Sequence[Row]) -> list[Section]:
    """The sections of all experiments that the rows are of, with their figures, which are written into `out`."""
    drawings = figures.write(out, rows)
    return [
        Section(
            name,
            title,
            sentence,
            tabulate(tried),
            [drawing for drawing in drawings if drawing.experiment == name],
            _strips(out, tried),
        )
        for name, (title, sentence) in wording.EXPERIMENTS.items()
        if (tried := in_order([row for row in rows if name in row["experiments"]]))
    ]


def _strips(out: Path, rows: Sequence[Row]) -> list[list[Strip]]:
    groups: dict[object, list[Strip]] = {}
    fields = varying(rows)
    for row in rows:
        trial = Trial(**{field.name: row[field.name] for field in dataclasses.fields(Trial)})
        if guides_of(row) not in groups:
            label = _label("guides", row, [field for field in fields if field == "num_colors"])
            groups[guides_of(row)] = [_strip(out, label, trial.guides)]
        if trial.method != "guide":
            label = _label(wording.METHODS[trial.method], row, fields)
            groups[guides_of(row)].append(_strip(out, label, trial.name))
    shown = ([strip for strip in group if strip.paths] for group in groups.values())
    return [group for group in shown if group]


def _strip(out: Path, label: str, folder: str) -> Strip:
    return Strip(label, sorted((out / "shown" / folder).glob("[!.]*.png"))[:NUM_SHOWN])


def _label(who: str, row: Row, fields: Sequence[str]) -> str:
    """``SDEdit, t0 0.4``."""
    settings = [f"{wording.SETTINGS[field]} {as_text(row[field])}" for field in fields if row[field] is not None]
    return ", ".join([who, *settings])
