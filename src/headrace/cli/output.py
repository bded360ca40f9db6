"""Output of commands: tables and colour for people, one JSON document for scripts."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import cleandoc
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table as Grid
from rich.text import Text

from headrace.core.errors import (
    DeclarationError,
    ExpiredError,
    HeadraceError,
    RefusedError,
    TaintedError,
)
from headrace.core.home import places_for
from headrace.core.progress import Tick, listening

P = ParamSpec("P")
R = TypeVar("R")

# Exit codes. 0: done. 1: the command ran, and something is blocked or failed. 2: invalid options
# or declarations. 3: an error in a source or in stored state, or a crash.
OK, BLOCKED, MISUSED, BROKEN = 0, 1, 2, 3

# Width for pipes and logs; at 80 columns, text in tables would be cut off.
PIPED = 140
out = Console(width=None if sys.stdout.isatty() else PIPED)
err = Console(stderr=True, width=None if sys.stderr.isatty() else PIPED)

# {library that the base install lacks: extras that install it}.
EXTRAS = {
    "dagster": "lake,models,dagster",
    "pyiceberg": "lake",
    "sqlalchemy": "lake",
    "lightgbm": "models",
    "sklearn": "models",
    "skops": "sklearn",
    "requests": "http",
}
_BROKEN = 72  # a docstring line longer than this is joined with the line after it
STYLES = {
    "PASS": "green",
    "WARN": "yellow",
    "QUARANTINE": "yellow",
    "BLOCK": "bold red",
    "ERROR": "bold magenta",
    "MISSING": "red",
}


def verdict(name: str) -> Text:
    return Text(name, STYLES.get(name, ""))


def marked(row: Mapping[str, Any]) -> Text:
    """Return the `ref` of a release or model, marked if it is tainted."""
    taint = (" TAINTED", "bold red") if row["tainted"] else ""
    return Text.assemble(str(row["ref"]), taint)


def tell_taints(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print the reason of each taint, one line each."""
    for row in rows:
        for why in row["tainted"]:
            out.print(Text(f"{row['ref']} is tainted by {why}", "red"), soft_wrap=True)


# JSON keys of snapshot ids, which exceed 2^53. A plain integer under a key of `_IDS` is a count.
_ID, _IDS = "snapshot_id", ("snapshots", "frontier", "forgotten")


def emit_json(value: object) -> None:
    """Print a JSON document; snapshot ids become text, since JavaScript and jq would round them."""
    json.dump(_with_text_ids(value), sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")


def _with_text_ids(value: object, *, ids: bool = False) -> object:
    if isinstance(value, Mapping):
        return {
            key: _with_text_ids(
                entry, ids=ids or key == _ID or (key in _IDS and not isinstance(entry, int))
            )
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [_with_text_ids(entry, ids=ids) for entry in value]
    return str(value) if ids and type(value) is int else value


def grid(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns whose name ends in `#` are numbers, aligned to the right."""
    table = Grid(title=title, title_justify="left", header_style="bold", title_style="bold")
    for column in columns:
        table.add_column(
            column.removesuffix("#"),
            justify="right" if column.endswith("#") else "left",
            no_wrap=column.endswith("#"),
        )
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    out.print(table)


def _cell(value: object) -> Text:
    """Return a value as text without markup, since data may contain square brackets."""
    if isinstance(value, Text):
        return value
    if isinstance(value, bool) or value is None:
        return Text({None: "", True: "yes", False: "no"}[value])
    if isinstance(value, int):
        return Text(f"{value:,}")
    return Text(f"{value:.4g}" if isinstance(value, float) else str(value))


def fail(error: HeadraceError) -> typer.Exit:
    """Print an error with its location and fix; return the `typer.Exit` to raise."""
    err.print(Text.assemble(("error: ", "bold red"), error.what), soft_wrap=True)
    for name, text in (("where", error.where), ("fix", error.fix)):
        if text:
            err.print(Text.assemble((f"  {name}: ", "bold"), text), soft_wrap=True)
    return typer.Exit(exit_code(error))


def exit_code(error: HeadraceError) -> int:
    """Return the exit code of a command that ends with this error."""
    if isinstance(error, TaintedError | ExpiredError):
        return BLOCKED
    return MISUSED if isinstance(error, DeclarationError | RefusedError) else BROKEN


_CREATING: set[Callable[..., Any]] = set()


def creating(command: Callable[P, R]) -> Callable[P, R]:
    """Mark a command that may create the home or the store; use it below `@explained`."""
    _CREATING.add(command)
    return command


def explained(command: Callable[P, R]) -> Callable[P, R]:
    """Print known errors of a command as messages, not as tracebacks."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with places_for("create" if command in _CREATING else "read"):
                return command(*args, **kwargs)
        except HeadraceError as error:
            raise fail(error) from None
        except ModuleNotFoundError as error:
            library = str(error.name).partition(".")[0]
            if library not in EXTRAS:
                raise
            fix = f"pip install 'headrace[{EXTRAS[library]}]'"
            missing = DeclarationError(
                f"the command needs {library}, which is not installed", fix=fix
            )
            raise fail(missing) from None

    run.__doc__ = _flowing(command.__doc__ or "")
    return run


def _flowing(doc: str) -> str:
    """Return help text with the lines of each paragraph joined, so that it fills any width."""
    lines: list[str] = []
    full = False
    for line in cleandoc(doc).split("\n"):
        if full and line and not line.startswith((" ", "- ", "* ")):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        full = len(line) > _BROKEN
    return "\n".join(lines)


@contextmanager
def progress(*, quiet: bool) -> Iterator[None]:
    """Show progress bars on stderr for all progress reports within the block."""
    if quiet:
        yield
        return
    tasks: dict[str, TaskID] = {}
    bars = Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=err,
    )

    def show(tick: Tick) -> None:
        bars.start()  # not earlier: without a bar, the display prints an empty line
        if tick.stage not in tasks:
            tasks[tick.stage] = bars.add_task(tick.stage, total=tick.total, note="")
        # If a stage starts again with fewer steps, its bar stays as it is.
        bar = bars.tasks[tasks[tick.stage]]
        if tick.total >= (bar.total or 0):
            bars.update(bar.id, completed=tick.finished, total=tick.total, note=tick.note)

    try:
        with listening(show):
            yield
    finally:
        if tasks:
            bars.stop()
