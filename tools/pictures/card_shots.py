"""Take the pictures of the dataset card REF: `python -m tools.pictures.card_shots REF`."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import headrace
from tools.pictures.screenshots import FLAGS, chromium

OUT = Path(__file__).parents[2] / "docs" / "images"
SHOTS = {"card-wide": (1400, 1000, "light"), "card-phone": (390, 844, "dark")}


def take_card(ref: str) -> None:
    """Save the top of the page, wide in light colours, and on a phone in dark colours."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        path = Path(folder) / "card.html"
        path.write_text(headrace.open(ref).card.html(), encoding="utf-8")
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        for name, (width, height, scheme) in SHOTS.items():
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": height}
            )
            page = context.new_page()
            page.goto(path.as_uri())
            page.screenshot(path=OUT / f"{name}.png")
            print(OUT / f"{name}.png")  # noqa: T201 - the answer of this script
        browser.close()


if __name__ == "__main__":
    take_card(sys.argv[1] if len(sys.argv) > 1 else "flights_delay")
