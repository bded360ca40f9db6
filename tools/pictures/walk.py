"""Go through docs/how-to/on-call.md in a browser: a fault, its alert, its page, the approval.

`python -m tools.pictures.screenshots --walk` makes a temporary home with six weeks of flights, in
which the distances of the last day's schedule are in kilometres, and follows the steps of the
person who is paged. It fails at the step at which that person could not continue.
"""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tools.pictures.screenshots import FLAGS, PATIENCE, ROOT, SETTLE, chromium, free_port, wait

FIRST, DAY = "2013-01-01", "2013-02-12"
WIDE, PHONE = (1500, 950), (390, 844)
KM = 1.609344
ROUTES = """\
version: 1
routes:
  "*":
    - ${FLIGHTS_PAGER}
"""


@dataclass
class Pager:
    """Webhook, like that of a chat or a pager, which stores the received messages."""

    url: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def wait_for(self, kind: str) -> dict[str, Any]:
        """Wait for a message of a kind; the alert sensor runs every half minute."""
        for _ in range(PATIENCE):
            for message in self.messages:
                if message["kind"] == kind:
                    return message
            time.sleep(1)
        raise SystemExit(f"no message of kind {kind} came")


@contextmanager
def pager() -> Iterator[Pager]:
    found = Pager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.messages.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"json://127.0.0.1:{server.server_port}/pager"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


@dataclass(frozen=True)
class Place:
    """Home with the addresses of its servers and its pager."""

    home: Path
    dagster: str
    reports: str
    pager: Pager


@contextmanager
def place(home: Path) -> Iterator[Place]:
    """Run with an injected fault, then start Dagster with its daemon and the report server."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "alerts.yaml").write_text(ROUTES)
    dagster, reports = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with ExitStack() as stack:
        found = Place(home, dagster, reports, stack.enter_context(pager()))
        stack.enter_context(mock.patch.dict(os.environ, _environment(found)))
        run_with_kilometres(home)
        stack.enter_context(_serving(_dagster_dev(found), home, dagster + "/server_info"))
        stack.enter_context(_serving(_reports(found), ROOT, reports + "/"))
        yield found


def _environment(found: Place) -> dict[str, str]:
    return {
        "HEADRACE_HOME": str(found.home),
        "DAGSTER_HOME": str(found.home / "dagster"),
        "HEADRACE_ALERTS": str(found.home / "alerts.yaml"),
        "HEADRACE_POLICY": str(ROOT / "policy.yaml"),
        "HEADRACE_DAGSTER_URL": found.dagster,
        "HEADRACE_REPORTS_URL": found.reports,
        "FLIGHTS_PAGER": found.pager.url,
    }


def run_with_kilometres(home: Path) -> None:
    """Ingest six weeks of deliveries, with the last day's distances in kilometres."""
    from headrace.core.home import Home
    from headrace.dagster.execute import run_pipeline
    from headrace.pipeline import project_pipelines

    (pipeline, *_) = project_pipelines()
    where = Home(home)
    assert pipeline.make_deliveries is not None
    pipeline.make_deliveries(where.deliveries / pipeline.name)
    (file, *_) = sorted((where.deliveries / pipeline.name).rglob(f"schedule_{DAY}*.csv"))
    in_kilometres(file)
    outcome = run_pipeline(pipeline, where, first=FIRST, last=DAY, stage="ingest", project=home)
    assert not outcome.ok, "the gate let kilometres pass"


def in_kilometres(file: Path) -> None:
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        row["distance"] = str(round(float(row["distance"]) * KM))
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _dagster_dev(found: Place) -> list[str]:
    workspace = found.home / "workspace.yaml"
    text = (ROOT / "workspace.yaml").read_text()
    workspace.write_text(text.replace("working_directory: .", f"working_directory: {ROOT}"))
    port = found.dagster.rpartition(":")[2]
    return [sys.executable, "-m", "dagster", "dev", "--port", port, "-w", str(workspace)]


def _reports(found: Place) -> list[str]:
    port = found.reports.rpartition(":")[2]
    headrace = Path(sys.executable).with_name("headrace")
    return [str(headrace), "reports", "--port", port]


@contextmanager
def _serving(command: list[str], folder: Path, address: str) -> Iterator[None]:
    log = (Path(os.environ["HEADRACE_HOME"]) / "walk.log").open("a")
    with (
        log,
        subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        ) as server,
    ):
        try:
            wait(address, server)
            yield
        finally:
            _end(server)


def _end(server: "subprocess.Popen[bytes]") -> None:
    """End a server; kill its group if needed, as background jobs ignore Dagster's interrupt."""
    server.terminate()
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)


def walk(home: Path, out: Path) -> dict[str, Any]:
    """Follow all steps; return the message that opened the alert and the one that closed it."""
    out.mkdir(parents=True, exist_ok=True)
    with place(home) as found, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            return _walk(browser, found, out)
        finally:
            browser.close()


def _walk(browser: Browser, found: Place, out: Path) -> dict[str, Any]:
    (opened,) = found.pager.messages
    links = [line.rpartition(" ")[2] for line in opened["message"].splitlines() if "://" in line]
    report, decide, day = links
    phone = _page(browser, PHONE)
    _read_on_the_phone(phone, report, out)
    page = _page(browser, WIDE)
    _look_at_the_day(page, day, out)
    _approve(phone, decide, out)
    _see_it_published(page, day, out)
    closed = found.pager.wait_for("closed")
    assert closed["alert"] == opened["alert"]
    return {"opened": opened, "closed": closed}


def _read_on_the_phone(page: Page, report: str, out: Path) -> None:
    _open(page, report, DAY)
    _shoot(page, out / "on-call-report.png")
    page.get_by_role("link", name="Why", exact=True).click()
    _shoot(page, out / "on-call-why.png")


def _look_at_the_day(page: Page, day: str, out: Path) -> None:
    _open(page, day, "failed, and did not materialize this asset")
    _shoot(page, out / "on-call-day.png")
    checks = day.partition("?")[0] + "?view=checks&checkDetail=gate_block"
    _open(page, checks, "This is a blocking asset check")
    expect(page.get_by_text("unit change in distance").first).to_be_visible()
    _shoot(page, out / "on-call-checks.png")


def _approve(page: Page, decide: str, out: Path) -> None:
    """Approve the batch on the phone; check that nothing is sent without a reason."""
    page.goto("about:blank")
    _open(page, decide, "What you can do")
    approve = page.get_by_role("button", name="Approve")
    approve.click()
    expect(page.get_by_text("Needs a decision")).to_be_visible()
    page.get_by_label("Reason").fill("planning needs the day; a file in miles comes tomorrow")
    page.get_by_label("An approval ends").select_option("1d")
    page.evaluate("document.getElementById('act').scrollIntoView()")
    _shoot(page, out / "on-call-act.png")
    approve.click()
    expect(page.get_by_text("Latest action:")).to_be_visible(timeout=PATIENCE * 1000)
    _shoot(page, out / "on-call-approved.png")


def _see_it_published(page: Page, day: str, out: Path) -> None:
    events = day.replace("view=partitions&partition=", "view=events&partitions%5B0%5D=")
    _open(page, events, "release by")
    _shoot(page, out / "on-call-released.png")


def _page(browser: Browser, size: tuple[int, int]) -> Page:
    context = browser.new_context(
        color_scheme="light", viewport={"width": size[0], "height": size[1]}
    )
    return context.new_page()


def _open(page: Page, address: str, text: str) -> None:
    page.goto(address, wait_until="domcontentloaded", timeout=PATIENCE * 1000)
    expect(page.get_by_text(text).first).to_be_visible(timeout=PATIENCE * 1000)


def _shoot(page: Page, path: Path) -> None:
    page.wait_for_timeout(SETTLE)
    page.screenshot(path=path)
    print(path)  # noqa: T201 - the answer of this script
