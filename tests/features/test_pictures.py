"""The pictures of the time line are what their script draws, and the page shows each of them."""

from pathlib import Path

import pytest

from tools.pictures.timelines import IMAGES, PICTURES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "feature-semantics.md"


@pytest.mark.parametrize("name", PICTURES)
def test_the_committed_picture_is_what_is_drawn(name):
    assert (IMAGES / f"{name}.svg").read_text() == PICTURES[name]()
    assert f"images/{name}.svg" in PAGE.read_text()
