"""Take the pictures of the gate report: `python -m tools.pictures.screenshots --reports`.

Six weeks of schedules are ingested in a temporary home, with two faulty days: one has distances in
kilometres, and of one only the first half is delivered. The weather data already has a bad row.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from headrace.report_server.actions import Acting
from headrace.report_server.site import Site
from tools.pictures.walk import in_kilometres

FIRST, KILOMETRES, HALF = "2013-01-01", "2013-02-12", "2013-02-13"
WEATHER = ("2013-02-05", "2013-02-12")
PHONE, WIDE = (390, 844), (1400, 1000)


def take_reports(home: Path, out: Path, executable: str, flags: list[str]) -> None:
    """Save the pictures: a blocked day on a phone and wide, a quarantined row, and the index."""
    from headrace.report_server.server import ReportServer

    site = damaged_days(home)
    out.mkdir(parents=True, exist_ok=True)
    with ReportServer(site, "127.0.0.1", 0) as server, sync_playwright() as play:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = play.chromium.launch(executable_path=executable, args=flags)
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for name, path, size, scheme, then in _shots():
            context = browser.new_context(
                color_scheme=scheme, viewport={"width": size[0], "height": size[1]}
            )
            page = context.new_page()
            page.goto(address + path)
            then(page)
            page.screenshot(path=out / f"{name}.png")
            print(out / f"{name}.png")  # noqa: T201 - the answer of this script
            context.close()
        browser.close()
        server.shutdown()


def _shots() -> list[tuple[str, str, tuple[int, int], str, Callable[[Page], None]]]:
    blocked = f"/table/schedule/{KILOMETRES}"
    return [
        ("report-phone", blocked, PHONE, "light", _stay),
        ("report-phone-dark", blocked, PHONE, "dark", _to("compare")),
        ("report-act", blocked, PHONE, "light", _to("act")),
        ("report-wide", blocked, WIDE, "light", _stay),
        ("report-row", f"/table/weather/{WEATHER[1]}", PHONE, "light", _stay),
        ("reports-index", "/", PHONE, "light", _stay),
    ]


def _stay(page: Page) -> None:
    """Do not scroll: show the top of the page."""
    del page


def _to(part: str) -> Callable[[Page], None]:
    def go(page: Page) -> None:
        page.evaluate(f"document.getElementById('{part}').scrollIntoView()")

    return go


def damaged_days(home: Path) -> Site:
    """Ingest the days into a home, and return the report site over it."""
    from headrace.core.clock import days
    from headrace.core.home import Home
    from headrace.lake.ingest.protocol import ingest
    from pipelines.flights import make_deliveries, pipeline

    folder, where = home / "deliveries", Home(home)
    make_deliveries(folder)
    in_kilometres(folder / "drop" / f"schedule_{KILOMETRES}.csv")
    half = folder / "drop" / f"schedule_{HALF}.csv"
    lines = half.read_text().splitlines(keepends=True)
    half.write_text("".join(lines[: len(lines) // 2]))
    flights = pipeline(folder)
    ingest(flights.table("schedule"), days(FIRST, HALF), where)
    ingest(flights.table("weather"), days(*WEATHER), where)
    return Site([flights], where, Acting())
