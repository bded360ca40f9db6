"""`headrace ui`: Dagster's UI and daemon, and the report pages that the UI and alerts link to."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.output import creating, err, explained
from headrace.cli.shared import stopped_by_signals

LOOPBACK = "127.0.0.1"
ATTEMPTS = 20  # number of ports to try, starting with the usual one
PATIENCE = 20  # seconds until child processes that do not end are killed
_REPORTS = "from headrace.cli.app import main; main()"


@dataclass(frozen=True)
class LocalServer:
    """A server that `headrace ui` starts: its usual port, and the option that sets another."""

    name: str
    host: str
    usual: int
    option: str


@explained
@creating
def ui(
    *,
    port: Annotated[
        int | None, typer.Option(help="Port of Dagster; default: 3000, or the next free port.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address that Dagster listens on.")] = LOOPBACK,
    reports_port: Annotated[
        int | None,
        typer.Option(help="Port of the report pages; default: 3070, or the next free port."),
    ] = None,
) -> None:
    """Start Dagster (graph, checks, runs, schedules, sensors) and the report pages.

    The report pages always listen on this machine only, whatever --host says, because they accept
    approvals, rejections and acknowledgements in the name of this machine's user. Both servers end
    with this command.
    """
    from headrace.core.home import Home, project_root
    from headrace.dagster.instance import prepare
    from headrace.web.dagster_links import addresses, remember_addresses

    root = project_root()
    _need_project(root)
    before = addresses()
    dagster = _port(LocalServer("Dagster", host, 3000, "--port"), port, before.get("dagster"))
    pages = LocalServer("report pages", LOOPBACK, 3070, "--reports-port")
    reports = _port(pages, reports_port, before.get("reports"))
    home = Home.find()
    prepare(home, root)
    _need_one_home(root, home.root)
    address = f"[{host}]" if ":" in host else host
    local = {
        "dagster": f"http://{address}:{dagster}",
        "reports": f"http://{LOOPBACK}:{reports}",
    }
    remember_addresses(local)
    _say(local)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home.dagster),
        "HEADRACE_HOME": str(home.root),
        "HEADRACE_DAGSTER_URL": os.environ.get("HEADRACE_DAGSTER_URL") or local["dagster"],
        "HEADRACE_REPORTS_URL": os.environ.get("HEADRACE_REPORTS_URL") or local["reports"],
    }
    commands = [
        [sys.executable, "-m", "dagster", "dev", "--host", host, "--port", str(dagster)],
        [sys.executable, "-c", _REPORTS, "reports", "--port", str(reports)],
    ]
    raise typer.Exit(_run(commands, root, environment))


def _need_project(root: Path) -> None:
    """Raise an error outside a valid project, before anything is created."""
    from headrace.dagster.workspace import check_workspace
    from headrace.pipeline.load import pipeline_modules

    pipeline_modules(root)
    check_workspace(root)


def _need_one_home(root: Path, home: Path) -> None:
    """Raise an error if `.env`, which Dagster reads last, names another home."""
    from dotenv import dotenv_values

    from headrace.core.errors import DeclarationError

    written = dotenv_values(root / ".env").get("HEADRACE_HOME")
    if written != str(home):
        raise DeclarationError(
            f".env names the home {written}, and Dagster would show that home instead of {home}",
            where=str(root / ".env"),
            fix="unset HEADRACE_HOME, or remove HEADRACE_HOME and DAGSTER_HOME from .env",
        )


def _port(service: LocalServer, requested: int | None, before: str | None) -> int:
    """Return the requested port; else the last used port, so that links stay valid, or a free one.

    Raises:
        DeclarationError: the requested port is taken, or none is free.
    """
    from headrace.core.errors import DeclarationError

    if requested is not None:
        if not _is_free(service.host, requested):
            command = (
                f"ss -ltnp 'sport = :{requested}'"
                if shutil.which("ss")
                else f"lsof -i :{requested}"
            )
            raise DeclarationError(
                f"port {requested} of {service.host} is taken by another process",
                where=f"headrace ui {service.option} {requested}, for {service.name}",
                fix=f"find it: {command}; end it, or omit {service.option} for a free port",
            )
        return requested
    number = (before or "").rpartition(":")[2]
    usual = range(service.usual, service.usual + ATTEMPTS)
    candidates: list[int] = [int(number)] if number.isdigit() else []
    candidates += [usual_port for usual_port in usual if usual_port not in candidates]
    for candidate in candidates:
        if _is_free(service.host, candidate):
            if candidate != candidates[0]:
                text = f"port {candidates[0]} is taken, {candidate} is used instead"
                err.print(f"{service.name}: {text}", highlight=False)
            return candidate
    raise DeclarationError(
        f"no port from {usual[0]} to {usual[-1]} of {service.host} is free for {service.name}",
        where="headrace ui",
        fix=f"{service.option} with another number",
    )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
        except OSError:
            return False
    return True


def _say(local: dict[str, str]) -> None:
    """Print all addresses, and the command that turns automation on."""
    for line in (
        f"Dagster       {local['dagster']}",
        f"report pages  {local['reports']}   batches to approve, reject, acknowledge",
        "automation    headrace automation on   ingest, builds, alerts, maintenance automatically",
    ):
        err.print(line, highlight=False, soft_wrap=True)


def _run(commands: Sequence[Sequence[str]], root: Path, environment: dict[str, str]) -> int:
    """Run the child processes until a signal comes or Dagster ends; then end all of them."""
    stop = stopped_by_signals()
    with contextlib.ExitStack() as ending:
        # Each child has a session of its own: Ctrl-C reaches only this process, which ends them.
        children = [
            ending.enter_context(
                _ended(subprocess.Popen(command, cwd=root, env=environment, start_new_session=True))
            )
            for command in commands
        ]
        return _watch(children, stop)


@contextlib.contextmanager
def _ended(child: "subprocess.Popen[bytes]") -> "Iterator[subprocess.Popen[bytes]]":
    """Yield the child; afterwards end its process group, or kill it after `PATIENCE`."""
    try:
        yield child
    finally:
        _signal(child, signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while _lives(child) and time.monotonic() < until:
            time.sleep(0.1)
        _signal(child, signal.SIGKILL)
        child.wait()


def _watch(children: "Sequence[subprocess.Popen[bytes]]", stop: threading.Event) -> int:
    dagster, reports = children
    reported = False
    while not stop.wait(0.3):
        if dagster.poll() is not None:
            return dagster.wait()
        if reports.poll() is not None and not reported:
            reported = True
            err.print("the report pages ended; start them again: headrace reports", style="red")
    return 0


def _lives(child: "subprocess.Popen[bytes]") -> bool:
    """Return True while any process of the child's group runs, such as Dagster's code servers."""
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
