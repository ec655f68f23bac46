"""The page in a real browser: it fits wide and narrow windows, light and dark, asks for nothing, runs nothing."""

import pytest

from tests.browser import chromium, needs_chromium
from tests.evaluation.report.measured import HOSTILE

pytestmark = needs_chromium
# Elements that reach beyond the window, but for those inside a frame that scrolls.
OVERFLOWING = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")]
  .filter((element) => !element.parentElement.closest(".scroll"))
  .filter((element) => element.getBoundingClientRect().right > width + 0.5)
  .map((element) => element.outerHTML.slice(0, 80));
"""
SHOWN = "return [...document.images].filter((image) => image.complete && image.naturalWidth > 0).length"
SMALL = """
return [...document.querySelectorAll(".strip img")].map((image) => {
  const style = getComputedStyle(image);
  return [style.imageRendering, image.clientWidth / image.naturalWidth, image.clientHeight / image.naturalHeight];
});
"""
COLORS = """
const style = (name) => getComputedStyle(document.querySelector(name));
const body = style("body");
return [body.backgroundColor, body.color, style("thead th").color, style(".scroll").backgroundColor];
"""


def prefer(browser, scheme):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.command("POST", "goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params={"features": features})


def luminance(color):
    """Relative luminance of ``rgb(r, g, b)``, as WCAG 2 defines it."""
    channels = [int(part) / 255 for part in color[4:-1].split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(color, other):
    dark, light = sorted((luminance(color), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize(("width", "height", "phone"), [(1280, 800, False), (320, 568, True)], ids=["window", "phone"])
def test_only_tables_and_pictures_scroll_sideways(reported, tmp_path, width, height, phone):
    page = (reported / "report.html").as_uri()
    with chromium(tmp_path, width, height, phone) as browser:
        browser.open(page)
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run(OVERFLOWING) == []
        scrolling = (
            "return [...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
        )
        assert (browser.run(scrolling) > 5) == phone
        assert browser.run(SHOWN) == browser.run("return document.images.length") > 50
        assert {tuple(found) for found in browser.run(SMALL)} == {("pixelated", 2, 2)}
        assert browser.run("return document.compatMode") == "CSS1Compat"
        assert browser.requests() == [page] and not browser.complaints()


def test_names_are_shown_and_not_run(reported, tmp_path):
    with chromium(tmp_path) as browser:
        browser.open((reported / "report.html").as_uri())
        assert browser.run("return document.querySelector('dd').textContent") == HOSTILE
        assert browser.run("return document.title") == "SDEdit, evaluated"


def test_it_is_light_or_dark_as_the_reader_prefers_and_legible_in_both(reported, tmp_path):
    with chromium(tmp_path) as browser:
        browser.open((reported / "report.html").as_uri())
        grounds = []
        for scheme in ("light", "dark"):
            prefer(browser, scheme)
            ground, ink, soft, card = browser.run(COLORS)
            grounds.append(luminance(ground))
            # WCAG's AA for text of this size.
            assert min(contrast(ink, ground), contrast(soft, ground), contrast(soft, card)) >= 4.5
        assert grounds[0] > 0.8 and grounds[1] < 0.05
