"""One self-contained HTML file: style, figures and pictures inside, nothing fetched, no program."""

import base64
import re
import struct
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from sdedit_jax.evaluation.report.sections import Section, Strip
from sdedit_jax.evaluation.report.tables import Cell, Table
from sdedit_jax.evaluation.report.wording import PAPER, READING

PARTS = Path(__file__).parents[2] / "assets" / "report"
SMALL = 128  # pixels: smaller pictures are shown at twice their size


def render(title: str, settings: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The page, of which every text is escaped: names of models are the user's."""
    style, page = ((PARTS / name).read_text(encoding="utf-8") for name in ("page.css", "page.html"))
    links = (f'<li><a href="#{section.name}">{escape(section.title)}</a></li>' for section in sections)
    fields = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in settings.items())
    return Template(page).substitute(
        title=escape(title),
        style=style,
        paper=escape(PAPER),
        links="\n".join(links),
        settings="\n".join(fields),
        reading=escape(READING),
        sections="\n".join(map(_section, sections)),
    )


def _section(section: Section) -> str:
    figures = (_figure(drawing.path, drawing.caption) for drawing in section.drawings)
    parts = [
        f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>\n<p>{escape(section.sentence)}</p>',
        _table(section.table, f"{section.name}-settings"),
        *figures,
        *(_strips(group) for group in section.strips),
        "</section>",
    ]
    return "\n".join(parts)


def _table(table: Table, name: str) -> str:
    """A table that scrolls sideways in a frame of its own where it is wider than the window."""
    heads = "".join(f'<th scope="col">{_head(head)}</th>' for head in table.heads)
    rows = "\n".join(f"<tr>{_row(cells)}</tr>" for cells in table.rows)
    return (
        f'<figure>\n<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}">\n'
        f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>\n</div>\n"
        f'<figcaption id="{name}">{escape(table.caption)}</figcaption>\n</figure>'
    )


def _head(text: str) -> str:
    """A name that breaks into lines, but not before a unit or an arrow."""
    return re.sub(" (?=px|[↓↑])", "&nbsp;", escape(text))


def _row(cells: Sequence[Cell]) -> str:
    method, *others = cells
    return f'<th scope="row">{escape(method.text)}</th>' + "".join(map(_cell, others))


def _cell(cell: Cell) -> str:
    text = f"<b>{escape(cell.text)}</b>" if cell.is_best else escape(cell.text)
    return f"<td>{text}{f' <small>{escape(cell.std)}</small>' if cell.std else ''}</td>"


def _figure(path: Path, caption: str) -> str:
    width, height = _size(path)
    image = f'<img class="plot" src="{_data_uri(path)}" width="{width // 2}" height="{height // 2}" alt="">'
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def _strips(group: Sequence[Strip]) -> str:
    strips = "\n".join(map(_strip, group))
    return f'<div class="scroll strips" tabindex="0" role="region" aria-label="Pictures">\n{strips}\n</div>'


def _strip(strip: Strip) -> str:
    label = escape(strip.label)
    pictures = "".join(_picture(path, f"{label}: picture {number + 1}") for number, path in enumerate(strip.paths))
    return f'<div class="strip"><p>{label}</p><div>{pictures}</div></div>'


def _picture(path: Path, text: str) -> str:
    width, height = _size(path)
    scale = 2 if max(width, height) < SMALL else 1
    kind = ' class="small"' if scale == 2 else ""
    return f'<img{kind} src="{_data_uri(path)}" width="{scale * width}" height="{scale * height}" alt="{text}">'


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _size(path: Path) -> tuple[int, int]:
    """Width and height, which a PNG has in its first chunk."""
    with path.open("rb") as file:
        width, height = struct.unpack(">16x2I", file.read(24))
    return width, height
