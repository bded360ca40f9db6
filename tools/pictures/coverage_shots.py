"""Take the pictures of docs/explanation/splits.md.

`python -m tools.pictures.screenshots --coverage --home HOME` runs it.
HOME must have a release of the flights.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from headrace.datasets import open_release
from headrace.datasets.stored_coverage import coverage_of
from headrace.reports.coverage_page import page, picture

PHONE, WIDE = (390, 844), (1200, 900)


def take_coverage(home: Path, out: Path, executable: str, flags: list[str]) -> None:
    """Save the plot as SVG, and the page wide, and on a phone in dark colours."""
    out.mkdir(parents=True, exist_ok=True)
    dataset = open_release("flights_delay@1.0.0", home / "store")
    report = coverage_of(dataset)
    plot = picture(report, f"Recent rows outside the training support, {dataset.ref}")
    (out / "coverage.svg").write_text(plot + "\n", encoding="utf-8")
    with TemporaryDirectory() as folder, sync_playwright() as play:
        page_file = Path(folder) / "coverage.html"
        page_file.write_text(page(report, dataset.ref), encoding="utf-8")
        browser = play.chromium.launch(executable_path=executable, args=flags)
        for name, size, scheme in (
            ("coverage-wide", WIDE, "light"),
            ("coverage-phone-dark", PHONE, "dark"),
        ):
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": size[0], "height": size[1]}
            )
            shown = context.new_page()
            shown.goto(page_file.as_uri())
            shown.screenshot(path=out / f"{name}.png")
            print(out / f"{name}.png")  # noqa: T201 - the answer of this script
            context.close()
        browser.close()
