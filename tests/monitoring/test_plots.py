"""Plots are well-formed, carry their own colours for light and dark, and survive any text."""

import base64
import re
import xml.etree.ElementTree as ET

import pytest

from headrace.web import svg_plots

WEEKS = [f"2013-01-{day:02d}" for day in range(1, 29)]
ODD = "<b>&\"']]>|\né"
PICTURES = {
    "line": svg_plots.line(ODD, [None, 1.0, 2.5, None, -3.0], WEEKS[:5], [2.0] * 5),
    "empty line": svg_plots.line("nothing", [], []),
    "flat line": svg_plots.line("flat", [1.0, 1.0], WEEKS[:2]),
    "bars": svg_plots.bars(ODD, [0, 1, 5e9, -2], [ODD] * 4),
    "empty bars": svg_plots.bars("nothing", [], []),
    "heat": svg_plots.heat(ODD, {ODD: [0.1, None, 9.0], "x" * 90: [1, 1.2, 2]}, WEEKS[:3]),
    "empty heat": svg_plots.heat("nothing", {}, []),
    "timeline": svg_plots.timeline(ODD, ["a", "b", "a"], [ODD, "x", "y"], {"a": "n", "b": "r"}),
    "empty timeline": svg_plots.timeline("nothing", [], [], {"a": "n"}),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES)
def test_every_plot_is_xml_with_a_title_and_both_themes(picture):
    root = ET.fromstring(picture)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.find("{http://www.w3.org/2000/svg}title") is not None
    assert "prefers-color-scheme:dark" in picture
    assert "nan" not in picture.lower().replace("nano", "")
    used = {one.get("class") for one in root.iter() if one.get("class")}
    assert all(f".{name}{{" in picture for name in used)


def test_nothing_is_loaded_from_anywhere():
    for picture in PICTURES.values():
        assert re.findall(r"https?://[^\"]+", picture) == ["http://www.w3.org/2000/svg"]
        assert "<script" not in picture


def test_markdown_holds_the_picture_itself():
    picture = PICTURES["heat"]
    text = svg_plots.markdown(picture, "a [nice]\nheat")
    match = re.fullmatch(
        r"!\[a \(nice\) heat\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", text
    )
    assert match is not None
    assert base64.b64decode(match[1]).decode() == picture


def test_a_year_of_forty_columns_stays_small():
    rows = {f"column_{n}": [1.2 * (n % 3)] * 52 for n in range(40)}
    assert len(svg_plots.heat("year", rows, ["w"] * 52)) < 60_000
