"""The page holds everything, needs nothing, and lets no name become markup; the Markdown says the same."""

import base64
import html
import re
from html.parser import HTMLParser

import pytest

from sdedit_jax.evaluation import report
from sdedit_jax.evaluation.report.sections import make_sections
from sdedit_jax.evaluation.report.wording import EXPERIMENTS as TITLES
from sdedit_jax.evaluation.trials import EXPERIMENTS
from tests.evaluation.report.measured import HOSTILE, make_rows, settings, write_shown

VOID = {"meta", "link", "img"}


class Outline(HTMLParser):
    """Elements with their attributes; an error where they are not nested."""

    def __init__(self):
        super().__init__()
        self.elements, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style",):
            self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def outline_of(out):
    outline = Outline()
    outline.feed((out / "report.html").read_text(encoding="utf-8"))
    outline.close()
    assert not outline.open
    return outline


@pytest.fixture(scope="module")
def outline(reported):
    return outline_of(reported)


def test_the_page_needs_no_other_file_and_no_program(reported, outline):
    addresses = [
        attributes[name] for _, attributes in outline.elements for name in ("src", "href") if name in attributes
    ]
    assert len(addresses) > 80 and all(address.startswith(("data:", "#")) for address in addresses)
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert "url(" not in page and "@import" not in page and "http:" not in page and "https:" not in page
    assert not outline.all("script") and not [
        name for _, fields in outline.elements for name in fields if name[:2] == "on"
    ]
    assert not [path.name for path in reported.iterdir() if path.name.startswith(".")]


def test_ids_are_unique_and_every_reference_has_its_target(outline):
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {attributes["href"][1:] for attributes in outline.all("a")}
    assert links == set(EXPERIMENTS)
    assert links | {fields["aria-labelledby"] for _, fields in outline.elements if "aria-labelledby" in fields} == set(
        ids
    )


def test_names_stay_text(reported, outline):
    page = (reported / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and HOSTILE not in page
    # Once for the whole page, and in the caption of every table.
    assert "".join(outline.text).count(HOSTILE) == page.count(html.escape(HOSTILE)) == 1 + len(EXPERIMENTS)


def test_every_picture_and_figure_is_inside(reported, outline):
    inside = [base64.b64decode(attributes["src"].partition(",")[2]) for attributes in outline.all("img")]
    plots = [path.read_bytes() for path in (reported / "figures").iterdir()]
    shown = {path.read_bytes() for path in reported.glob("shown/*/*.png") if "_guide_" not in path.parent.name}
    assert len(plots) == 7 and set(inside) == shown | set(plots)
    assert all("alt" in attributes for attributes in outline.all("img"))


def test_edits_stand_below_their_guides(tmp_path):
    chosen = settings(experiments=("colors",), colors=(3, 16), baselines=("guide", "gan-1"))
    write_shown(tmp_path, chosen, number=3)
    (section,) = make_sections(tmp_path, make_rows(chosen))
    assert [[(strip.label, strip.paths[0].parent.name) for strip in group] for group in section.strips] == [
        [
            (f"guides, colours {count}", f"strokes-{count}"),
            (f"SDEdit, colours {count}", f"strokes-{count}_sdedit_t0-0.4_steps-50_repeats-1_seed-0"),
            (f"GAN-1, encoder, colours {count}", f"strokes-{count}_gan-1_seed-0"),
        ]
        for count in (3, 16)
    ]
    assert all(
        [path.name for path in strip.paths] == ["0000.png", "0001.png", "0002.png"] for strip in section.strips[0]
    )


@pytest.mark.parametrize(("size", "scale"), [(64, 2), (127, 2), (128, 1)])
def test_small_pictures_are_shown_at_twice_their_size(tmp_path, size, scale):
    chosen = settings(experiments=("editing",), baselines=())
    write_shown(tmp_path, chosen, size, number=1)
    report.write(tmp_path, make_rows(chosen))
    pictures = outline_of(tmp_path).all("img")
    assert len(pictures) == 2  # a guide and an edit
    for attributes in pictures:
        assert attributes["width"] == attributes["height"] == str(scale * size)
        assert ("small" in attributes.get("class", "")) == (scale == 2)


def test_without_pictures_or_rows_there_is_still_a_page(tmp_path):
    report.write(tmp_path, make_rows(settings(experiments=("editing",))))
    assert not outline_of(tmp_path).all("img") and len(outline_of(tmp_path).all("table")) == 1
    report.write(tmp_path, [])
    assert not outline_of(tmp_path).all("table")


def test_the_markdown_has_the_same_tables(reported, outline):
    text = (reported / "report.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == [title for title, _ in TITLES.values()]
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
    rules = [line for line in lines if set("".join(line)) <= set("-: ")]
    assert len(rules) == len(EXPERIMENTS)
    cells = [cell for line in lines if line not in rules for cell in line]
    assert len(cells) == len(outline.all("th")) + len(outline.all("td"))
    assert sum(cell.strip().startswith("**") for cell in cells) == len(outline.all("b")) > 10


def test_the_markdown_links_to_all_figures_and_lets_no_name_become_markup(reported):
    text = (reported / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*\.png)\)", text)
    assert {reported / link for link in links} == set((reported / "figures").iterdir())
    assert "<" not in text and r"a\|b" in text and "a|b" not in text
