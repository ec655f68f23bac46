"""Formulas as MathML, made when the site is built: browsers show it by themselves, without a script or a network."""

import html
import re
from typing import Any

from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError

_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
_FUNCTION = re.compile(r"<(mi|mo)>(log|min)</\1>")


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """The page with every formula that `pymdownx.arithmatex` marked turned into MathML.

    Raises PluginError for LaTeX that has no MathML here; `docs/mathematics.md` keeps to what has.
    """

    def mathml(found: re.Match) -> str:
        latex = html.unescape(found[2]).strip()
        formula = convert(latex, display="block" if found[1] == "div" else "inline")
        if "\\" in formula or "<mi>&</mi>" in formula:
            raise PluginError(f"{page.file.src_path}: this formula cannot be turned into MathML: {latex}")
        formula = _FUNCTION.sub(
            r'<mo lspace="0.17em" rspace="0.1em">\2</mo>', formula
        )  # no browser spaces them by itself
        return f'<div class="formula">{formula}</div>' if found[1] == "div" else formula

    return _FORMULA.sub(mathml, content)
