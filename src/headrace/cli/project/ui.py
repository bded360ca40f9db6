"""`headrace ui`: Dagster's UI with its daemon, and the report pages that it and alerts link to."""

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
TRIED = 20  # ports after the usual one, before it gives up
PATIENCE = 20  # seconds for children to end by themselves
_REPORTS = "from headrace.cli.app import main; main()"


@dataclass(frozen=True)
class Service:
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
        int | None, typer.Option(help="Port of Dagster. Default: 3000, or the next free one.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address of Dagster to listen on.")] = LOOPBACK,
    reports_port: Annotated[
        int | None,
        typer.Option(help="Port of the report pages. Default: 3070, or the next free one."),
    ] = None,
) -> None:
    """Open Dagster (graph, checks, runs, schedules, sensors) and the pages for decisions.

    The report pages listen on this machine alone, whatever the host of Dagster is: a batch is
    approved, rejected or acknowledged there in the name of this machine's user. Both end with this
    command.
    """
    from headrace.core.home import Home, project_root
    from headrace.dagster.instance import prepare
    from headrace.web.dagster_links import addresses, remember_addresses

    root = project_root()
    _need_project(root)
    before = addresses()
    dagster = _port(Service("Dagster", host, 3000, "--port"), port, before.get("dagster"))
    pages = Service("report pages", LOOPBACK, 3070, "--reports-port")
    reports = _port(pages, reports_port, before.get("reports"))
    home = Home.find()
    prepare(home, root)
    _need_one_home(root, home.root)
    shown = f"[{host}]" if ":" in host else host
    local = {
        "dagster": f"http://{shown}:{dagster}",
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
    """Refuse before anything is made."""
    import yaml

    from headrace.core.errors import DeclarationError
    from headrace.core.yaml_lines import syntax_place
    from headrace.pipeline.load import pipeline_modules

    pipeline_modules(root)
    workspace = root / "workspace.yaml"
    if not workspace.exists():
        raise DeclarationError(
            "there is no workspace.yaml, which tells Dagster of the pipelines",
            where=str(root),
            fix="copy the one that headrace new project writes: a python_module per pipeline",
        )
    try:
        yaml.safe_load(workspace.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        what, where = syntax_place(workspace, error)
        raise DeclarationError(
            f"not valid YAML: {what}",
            where=where,
            fix="check the indentation and the quotes on this line and the one before",
        ) from error


def _need_one_home(root: Path, home: Path) -> None:
    """Refuse to show another home than the one that is named: Dagster reads `.env` last."""
    from dotenv import dotenv_values

    from headrace.core.errors import DeclarationError

    written = dotenv_values(root / ".env").get("HEADRACE_HOME")
    if written != str(home):
        raise DeclarationError(
            f".env names the home {written}, and Dagster would show that instead of {home}",
            where=str(root / ".env"),
            fix="unset HEADRACE_HOME, or take HEADRACE_HOME and DAGSTER_HOME out of .env",
        )


def _port(service: Service, asked: int | None, before: str | None) -> int:
    """The port that is asked for; else the one of last time, so that links go on, or a free one.

    Raises:
        DeclarationError: the port that is asked for is taken, or there is none.
    """
    from headrace.core.errors import DeclarationError

    if asked is not None:
        if not _is_free(service.host, asked):
            who = f"ss -ltnp 'sport = :{asked}'" if shutil.which("ss") else f"lsof -i :{asked}"
            raise DeclarationError(
                f"port {asked} of {service.host} is taken by another process",
                where=f"headrace ui {service.option} {asked}, for {service.name}",
                fix=f"see which one: {who}; end it, or leave {service.option} out for a free port",
            )
        return asked
    number = (before or "").rpartition(":")[2]
    usual = range(service.usual, service.usual + TRIED)
    candidates: list[int] = [int(number)] if number.isdigit() else []
    candidates += [one for one in usual if one not in candidates]
    for candidate in candidates:
        if _is_free(service.host, candidate):
            if candidate != candidates[0]:
                taken = f"port {candidates[0]} is taken, {candidate} is used instead"
                err.print(f"{service.name}: {taken}", highlight=False)
            return candidate
    raise DeclarationError(
        f"no port from {usual[0]} to {usual[-1]} of {service.host} is free for {service.name}",
        where="headrace ui",
        fix=f"{service.option} with another number",
    )


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError:
            return False
    return True


def _say(local: dict[str, str]) -> None:
    """Print every address, and the switch for what runs by itself."""
    for line in (
        f"Dagster       {local['dagster']}",
        f"report pages  {local['reports']}   batches to approve, reject, acknowledge",
        "automation    headrace automation on   ingest, builds, alerts, maintenance by themselves",
    ):
        err.print(line, highlight=False, soft_wrap=True)


def _run(commands: Sequence[Sequence[str]], root: Path, environment: dict[str, str]) -> int:
    """Run the children until a signal comes or Dagster ends; then nothing of them is left."""
    stop = stopped_by_signals()
    with contextlib.ExitStack() as ending:
        # A session of their own: Ctrl-C reaches this process alone, which then ends them in order.
        children = [
            ending.enter_context(
                _ended(subprocess.Popen(command, cwd=root, env=environment, start_new_session=True))
            )
            for command in commands
        ]
        return _watch(children, stop)


@contextlib.contextmanager
def _ended(child: "subprocess.Popen[bytes]") -> "Iterator[subprocess.Popen[bytes]]":
    """The child, of which nothing is left afterwards: asked to end, then killed."""
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
    told = False
    while not stop.wait(0.3):
        if dagster.poll() is not None:
            return dagster.wait()
        if reports.poll() is not None and not told:
            told = True
            err.print("the report pages ended; start them again: headrace reports", style="red")
    return 0


def _lives(child: "subprocess.Popen[bytes]") -> bool:
    """Return True while a process of its group runs; Dagster starts servers of its own."""
    child.poll()
    try:
        os.killpg(child.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _signal(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
