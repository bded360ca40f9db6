"""Take the pictures in docs/images.

`python -m tools.pictures.screenshots` runs the year with one damaged day and takes its pictures.
It needs Chromium (its path in CHROMIUM, or on PATH). With --home it uses an existing home.
"""

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
# Containers do not support the sandbox; the other flags stop network calls of Chromium itself.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
GROUPS = ("ingestion", "features", "datasets", "models", "monitoring", "serving")
PATIENCE = 120
ZOOM_OUT = 5  # number of clicks, each a tenth of the range
PAN = (-20, 145)
SETTLE = 5000  # ms to wait for the animation of a layout, whose end has no event


@dataclass(frozen=True)
class Shot:
    """Page of the Dagster UI, and a text that appears when it is complete."""

    name: str
    path: str
    wait_for: str
    # Action before the picture is taken.
    then: Callable[[Page], None] | None = None
    size: tuple[int, int] = (1600, 1000)


def shots() -> list[Shot]:
    """Return the shot of the asset graph of a project with a blocked day."""
    return [
        Shot(
            "graph",
            f"/asset-groups?expanded={_opened()}",
            "Global asset lineage",
            _whole_graph,
            (2000, 1250),
        ),
    ]


def _opened() -> str:
    """Return the URL parameter that expands all groups, which are collapsed by default."""
    return ",".join(f"global@global:{group}" for group in GROUPS)


def _whole_graph(page: Page) -> None:
    """Zoom out and centre the graph: with expanded groups it is larger than the page."""
    buttons = page.locator("button[class*=SVGViewport_iconButton]")
    for _ in range(ZOOM_OUT):
        buttons.nth(1).click()
        page.wait_for_timeout(300)
    page.mouse.move(1800, 700)
    page.mouse.down()
    page.mouse.move(1800 + PAN[0], 700 + PAN[1], steps=10)
    page.mouse.up()


def main() -> None:
    args = _arguments()
    if args.walk:
        the_walk(args.out)
        return
    if args.reports:
        from tools.pictures.report_shots import take_reports

        with tempfile.TemporaryDirectory() as folder:
            take_reports(Path(folder) / "home", args.out, chromium(), FLAGS)
        return
    if args.diff:
        from tools.pictures.diff_shots import take_diff

        if not args.home:
            raise SystemExit("--diff needs --home, in which the flights were released")
        take_diff(args.home, args.out, chromium(), FLAGS)
        return
    if args.coverage:
        from tools.pictures.coverage_shots import take_coverage

        if not args.home:
            raise SystemExit("--coverage needs --home, in which the flights were released")
        take_coverage(args.home, args.out, chromium(), FLAGS)
        return
    if args.home:
        take(args.home, args.workspace, shots(), args.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        run_with_a_damaged_day(home, args.table, args.day)
        take(home, args.workspace, shots(), args.out)
    the_walk(args.out)


def the_walk(out: Path) -> None:
    """Take the pictures of docs/how-to/on-call.md step by step; print the messages it quotes."""
    from tools.pictures.walk import walk

    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(walk(Path(folder) / "home", out), indent=2))  # noqa: T201


def run_with_a_damaged_day(home: Path, table: str, day: str) -> None:
    """Run the demonstration in this home, but with only the first half of one day's file."""
    from headrace.core.home import Home
    from headrace.dagster.execute import run_pipeline
    from headrace.pipeline import project_pipelines

    os.environ["HEADRACE_HOME"] = str(home)
    (pipeline, *_) = project_pipelines()
    where = Home(home)
    if pipeline.make_deliveries is not None:
        pipeline.make_deliveries(where.deliveries / pipeline.name)
    (file, *_) = sorted((where.deliveries / pipeline.name).rglob(f"{table}_{day}*.csv"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    outcome = run_pipeline(pipeline, where, project=home)
    print(*outcome.lines(), sep="\n")  # noqa: T201 - what to expect in the pictures


def take(home: Path, workspace: Path, wanted: list[Shot], out: Path) -> None:
    """Serve `home` and save one PNG for each shot."""
    out.mkdir(parents=True, exist_ok=True)
    with served(home, workspace) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_context(color_scheme="light").new_page()
        for shot in wanted:
            _take(page, address, shot, out)
        browser.close()


def _take(page: Page, address: str, shot: Shot, out: Path) -> None:
    page.set_viewport_size({"width": shot.size[0], "height": shot.size[1]})
    page.goto(address + shot.path, wait_until="domcontentloaded", timeout=PATIENCE * 1000)
    page.get_by_text(shot.wait_for).first.wait_for(timeout=PATIENCE * 1000)
    page.wait_for_timeout(SETTLE)
    if shot.then:
        shot.then(page)
        page.wait_for_timeout(SETTLE)
    page.screenshot(path=out / f"{shot.name}.png")
    print(out / f"{shot.name}.png")  # noqa: T201 - the answer of this script


@contextmanager
def served(home: Path, workspace: Path) -> Iterator[str]:
    port = free_port()
    # The `.env` in Dagster's working folder overrides the environment, and the project's `.env` may
    # set another home: serve from the home, with the project's folder as an absolute path.
    served = home / workspace.name
    served.write_text(
        workspace.read_text().replace(
            "working_directory: .", f"working_directory: {workspace.parent}"
        )
    )
    command = [sys.executable, "-m", "dagster_webserver", "--port", str(port), "-w", served.name]
    env = {**os.environ, "DAGSTER_HOME": str(home / "dagster"), "HEADRACE_HOME": str(home)}
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=home, env=env) as server:
        try:
            wait(address + "/server_info", server)
            yield address
        finally:
            server.terminate()


def wait(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server answers; end the script if the server ends before."""
    for _ in range(PATIENCE * 2):
        if server.poll() is not None:
            raise SystemExit(f"{server.args} ended with {server.returncode}")
        try:
            urllib.request.urlopen(address, timeout=5).read()  # noqa: S310 - ours
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"{address} does not answer")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def chromium() -> str:
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    for found in (shutil.which(name) for name in names if name):
        if found:
            return found
    raise SystemExit("no Chromium: install it, or set CHROMIUM to its path")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", action="store_true", help="only those of the gate reports")
    parser.add_argument(
        "--diff", action="store_true", help="only those of docs/reference/dataset-diff.md"
    )
    parser.add_argument(
        "--coverage", action="store_true", help="only those of docs/explanation/splits.md"
    )
    parser.add_argument("--home", type=Path, help="a Headrace home; made and run if left out")
    parser.add_argument("--workspace", type=Path, default=ROOT / "workspace.yaml")
    parser.add_argument("--table", default="schedule")
    parser.add_argument("--day", default="2013-02-12")
    parser.add_argument("--walk", action="store_true", help="only those of docs/how-to/on-call.md")
    parser.add_argument("--out", type=Path, default=IMAGES)
    return parser.parse_args()


if __name__ == "__main__":
    main()
