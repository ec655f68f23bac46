"""The rows of an evaluation for people: a page, the same as Markdown, and the figures of both."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from sdedit_jax import disk
from sdedit_jax.evaluation.report import page
from sdedit_jax.evaluation.report.sections import Section, make_sections
from sdedit_jax.evaluation.report.tables import Cell, Table, in_common
from sdedit_jax.evaluation.report.wording import READING
from sdedit_jax.evaluation.results import Row

TITLE = "SDEdit, evaluated"


def write(out: Path, rows: Sequence[Row]) -> None:
    """Writes ``report.html``, which needs no other file, ``report.md`` and ``figures/``.

    The pictures are those in ``shown/``, which an evaluation has left in `out`.
    """
    sections, settings = make_sections(out, rows), in_common(rows)
    texts = {
        "report.html": page.render(TITLE, settings, sections),
        "report.md": _markdown(out, settings, sections),
    }
    for name, text in texts.items():
        with disk.replacing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _markdown(out: Path, settings: Mapping[str, str], sections: Sequence[Section]) -> str:
    common = [f"- {name}: {_escape(value)}" for name, value in settings.items()]
    blocks = [f"# {TITLE}", "\n".join(common), READING]
    for section in sections:
        blocks += [
            f"## {section.title}",
            _escape(section.sentence),
            _table(section.table),
            _escape(section.table.caption),
        ]
        for drawing in section.drawings:
            blocks.append(f"![{_escape(drawing.caption)}]({drawing.path.relative_to(out).as_posix()})")
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    rule = ["---"] + ["---:"] * (len(table.heads) - 1)
    rows = [[_cell(cell) for cell in cells] for cells in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [[_escape(head) for head in table.heads], rule, *rows])


def _cell(cell: Cell) -> str:
    text = f"**{_escape(cell.text)}**" if cell.is_best else _escape(cell.text)
    return f"{text} {cell.std}".rstrip()


def _escape(text: str) -> str:
    """Text in which nothing is markup, on one line."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(" ".join(text.split()), quote=False))
