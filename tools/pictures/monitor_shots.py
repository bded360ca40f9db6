"""Take pictures of docs/explanation/monitoring.md: `python -m tools.pictures.monitor_shots HOME`.

In HOME, the year of flights must have run (`headrace demo`), and after it a challenger must have
been trained (`headrace retrain --reason ... --as-of 2013-12-15`). The window whose relation changed
is from a small data set with injected drift, since the year has none.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from headrace.core.home import Home
from headrace.pipeline import project_pipelines
from headrace.reports.monitor import render
from headrace.reports.monitor.facts import monitor_report
from tests.monitoring.watched import watched
from tools.pictures.screenshots import FLAGS, IMAGES, ROOT, Shot, chromium, take

PHONE, WIDE, DARK = ((390, 844), "light"), ((1400, 1000), "light"), ((390, 844), "dark")
MIDDLE = ((1000, 1000), "light")
Look = tuple[tuple[int, int], str]
DECISION = "/assets/monitoring/flights/decision?view=checks&checkDetail=monitor"


def take_monitor(home: Path, out: Path = IMAGES) -> None:
    """Save the report of the year, wide and on a phone, a drifting window, and Dagster's page."""
    (flights, *_) = project_pipelines()
    year = render(monitor_report(flights, Home(home)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        made, planted, _ = watched(Path(folder))
        drifted = render(monitor_report(made, planted))
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        _save(browser, year, out / "monitor-wide.png", WIDE)
        _save(browser, year, out / "monitor-phone-dark.png", DARK)
        _save(browser, drifted, out / "monitor-window.png", PHONE, "details.late[open]")
        _save(browser, year, out / "monitor-compared.png", MIDDLE, "#models li:has(.cards)")
        browser.close()
    take(home, ROOT / "workspace.yaml", [Shot("monitor-dagster", DECISION, "monitor")], out)


def _save(browser: Browser, text: str, path: Path, look: Look, part: str = "") -> None:
    (width, height), scheme = look
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_content(text)
    if part:
        # make it as high as the page: after scrolling, the sticky bar would be in the picture
        page.set_viewport_size({"width": width, "height": 20_000})
        page.evaluate("document.querySelectorAll('#models details').forEach(d => d.open = true)")
        page.locator(part).first.screenshot(path=path)
    else:
        page.screenshot(path=path)
    context.close()
    print(path)  # noqa: T201 - the answer of this script


if __name__ == "__main__":
    take_monitor(Path(sys.argv[1]).absolute())
