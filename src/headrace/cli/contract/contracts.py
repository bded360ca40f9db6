"""`headrace contract`: what a change of a contract does, and to whom."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out

if TYPE_CHECKING:
    from headrace.contracts import Comparison
    from headrace.contracts.evolution.project_check import Checked

app = typer.Typer(no_args_is_help=True, help="What tables promise, and what a change of it breaks.")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
STYLES = {"MAJOR": "bold red", "MINOR": "yellow", "PATCH": "green", "NONE": "green"}
CONTRACT = "A contract's file, or one at a git revision: main:pipelines/shop/contracts/orders.yaml"


@app.command("diff")
@explained
def diff(
    before: Annotated[str, typer.Argument(help=CONTRACT)],
    after: Annotated[str, typer.Argument(help=CONTRACT)],
    *,
    as_json: Json = False,
) -> None:
    """Say what changed between two versions of a contract, and what each change breaks.

    The reader asks whether what read the table goes on reading it, the trainer whether a value
    means what it meant. Exit code 1 says that the change is MAJOR.
    """
    from headrace.contracts import Level, compare, load_contract

    with _file(before) as old, _file(after) as new:
        found = compare(load_contract(old), load_contract(new))
    if as_json:
        emit_json(found.as_json())
    else:
        show_comparison(found)
    if found.level is Level.MAJOR:
        raise typer.Exit(BLOCKED)


@app.command("check")
@explained
def check(
    *,
    against: Annotated[
        str, typer.Option(help="The git revision that consumers build on: main, a tag.")
    ] = "main",
    as_json: Json = False,
) -> None:
    """Hold every contract against its earlier state: for a team's CI.

    A change must be told by the version, MAJOR if it breaks anybody; versions that still have
    consumers and stand beside the present one count as well. Exit code 1 says that one is not.
    """
    from headrace.contracts.evolution.project_check import check as hold
    from headrace.contracts.evolution.project_check import contract_files
    from headrace.core.home import project_root
    from headrace.pipeline.earlier_revision import unpacked

    with unpacked(against) as folder:
        found = hold(contract_files(project_root()), contract_files(folder))
    if as_json:
        emit_json([one.as_json() for one in found])
    else:
        for one in found:
            _show_checked(one)
        wrong = sum(bool(one.problem) for one in found)
        out.print(f"{len(found)} tables held against {against}, {wrong} must not go in as they are")
    if any(one.problem for one in found):
        raise typer.Exit(BLOCKED)


@app.command("lint")
@explained
def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Contracts; all of the project if left out.")
    ] = None,
    *,
    strict: Annotated[bool, typer.Option(help="Exit with 1 if there is a hint.")] = False,
    as_json: Json = False,
) -> None:
    """Load contracts and say what they leave unsaid: no unit, no limit, nobody to call.

    What a draft leaves to a person (texts that begin with TODO) comes first.
    """
    from dataclasses import asdict

    from headrace.contracts.evolution.project_check import contract_files
    from headrace.contracts.lint import lint_file
    from headrace.core.home import project_root

    chosen = paths or list(contract_files(project_root()).values())
    found = [(path, hint) for path in chosen for hint in lint_file(path)]
    if as_json:
        emit_json([{"path": path, **asdict(hint)} for path, hint in found])
    else:
        grid(
            f"{len(chosen)} contracts, {len(found)} hints",
            ["contract", "column", "hint", "so", "fix"],
            [[path.name, hint.field or "", hint.rule, hint.text, hint.fix] for path, hint in found],
        )
    if strict and found:
        raise typer.Exit(BLOCKED)


@contextmanager
def _file(given: str) -> Iterator[Path]:
    """A path, or `REVISION:path from the project's folder`."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline.earlier_revision import unpacked

    path = Path(given)
    revision, colon, inner = given.partition(":")
    if path.exists() or not colon:
        yield path
        return
    with unpacked(revision) as folder:
        if not (folder / inner).is_file():
            raise DeclarationError(
                f"there is no {inner!r} at {revision}",
                fix="give the path from the project's folder",
            )
        yield folder / inner


def _level(name: str) -> Text:
    return Text(name, STYLES[name])


def show_comparison(found: "Comparison") -> None:
    title = f"{found.after.table} {found.before.version} -> {found.after.version}: "
    out.print(Text.assemble((title, "bold"), _level(found.level.name)))
    if found.changes:
        grid(
            f"{len(found.changes)} changes",
            ["column", "rule", "reader", "trainer", "what it does"],
            [
                [
                    change.field or "",
                    change.rule,
                    _level(change.reader.name),
                    _level(change.trainer.name),
                    change.reason,
                ]
                for change in found.changes
            ],
        )
    if found.breaks:
        out.print(Text(f"it breaks: {', '.join(found.breaks)}", "red"))


def _show_checked(one: "Checked") -> None:
    if not one.problem and not one.breaks:
        return
    for comparison in one.comparisons:
        if comparison.changes:
            show_comparison(comparison)
    if one.problem:
        out.print(Text.assemble((f"{one.path}: {one.problem}", "bold red")), soft_wrap=True)
        out.print(Text(f"  fix: {one.fix}"), soft_wrap=True)
        if one.bereft:
            out.print(Text(f"  it breaks: {', '.join(one.bereft)}"), soft_wrap=True)
