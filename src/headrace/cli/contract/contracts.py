"""`headrace contract`: changes of contracts, and the consumers that they break."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AsJson
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out
from headrace.web.wording import counted

if TYPE_CHECKING:
    from headrace.contracts import ContractComparison
    from headrace.contracts.evolution.project_check import TableCheck

app = CommandGroup(
    no_args_is_help=True, help="Data contracts: drafts, checks, and consumers that a change breaks."
)

STYLES = {"MAJOR": "bold red", "MINOR": "yellow", "PATCH": "green", "NONE": "green"}
CONTRACT = "Contract file; at a git revision: main:pipelines/shop/contracts/orders.yaml."


@app.command("diff")
@explained
def diff(
    before: Annotated[str, typer.Argument(help=CONTRACT)],
    after: Annotated[str, typer.Argument(help=CONTRACT)],
    *,
    as_json: AsJson = False,
) -> None:
    r"""Compare two versions of a contract and show what each change breaks.

    Each change is rated twice: for the reader, whether code that reads the table still works, and
    for the trainer, whether values still mean the same. Exit code 1: the change is MAJOR.

    For example:

      headrace contract diff main:pipelines/shop/contracts/orders.yaml \
        pipelines/shop/contracts/orders.yaml
    """
    from headrace.contracts import Level, compare, load_contract

    with _file(before) as old, _file(after) as new:
        comparison = compare(load_contract(old), load_contract(new))
    if as_json:
        emit_json(comparison.as_json())
    else:
        show_comparison(comparison)
    if comparison.level is Level.MAJOR:
        raise typer.Exit(BLOCKED)


@app.command("check")
@explained
def check(
    *,
    against: Annotated[
        str, typer.Option(help="Git revision that consumers use: a branch or a tag.")
    ] = "main",
    as_json: AsJson = False,
) -> None:
    """Compare every contract with its state at a git revision; run it in CI.

    The version bump must match the most severe change: MAJOR if it breaks any consumer. Older
    versions that still have consumers are checked as well. Exit code 1: a version bump is too
    small.

    For example:

      headrace contract check --against main
    """
    from headrace.contracts.evolution.project_check import check as hold
    from headrace.contracts.evolution.project_check import contract_files
    from headrace.core.home import project_root
    from headrace.pipeline.earlier_revision import unpacked

    with unpacked(against) as folder:
        results = hold(contract_files(project_root()), contract_files(folder))
    if as_json:
        emit_json([result.as_json() for result in results])
    else:
        for result in results:
            _show_checked(result)
        wrong = sum(bool(result.problem) for result in results)
        tables = counted(len(results), "table")
        out.print(f"{tables} compared with {against}, {wrong} must not be merged")
    if any(result.problem for result in results):
        raise typer.Exit(BLOCKED)


@app.command("lint")
@explained
def lint(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Contract files; default: all of the project.")
    ] = None,
    *,
    strict: Annotated[bool, typer.Option(help="Exit with code 1 if there is a hint.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the gaps of contracts: missing units, limits, owners.

    Undecided parts of a draft (texts that begin with TODO) are listed first.
    """
    from dataclasses import asdict

    from headrace.contracts.evolution.project_check import contract_files
    from headrace.contracts.lint import lint_file
    from headrace.core.home import project_root

    contracts = paths or list(contract_files(project_root()).values())
    hints = [(path, hint) for path in contracts for hint in lint_file(path)]
    if as_json:
        emit_json([{"path": path, **asdict(hint)} for path, hint in hints])
    else:
        grid(
            f"{counted(len(contracts), 'contract')}, {counted(len(hints), 'hint')}",
            ["contract", "column", "hint", "problem", "fix"],
            [[path.name, hint.field or "", hint.rule, hint.text, hint.fix] for path, hint in hints],
        )
    if strict and hints:
        raise typer.Exit(BLOCKED)


@contextmanager
def _file(address: str) -> Iterator[Path]:
    """Yield the file at a path, or at `REVISION:PATH`, PATH relative to the project's folder."""
    from headrace.core.errors import DeclarationError
    from headrace.pipeline.earlier_revision import unpacked

    path = Path(address)
    revision, colon, inner = address.partition(":")
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


def show_comparison(comparison: "ContractComparison") -> None:
    title = f"{comparison.after.table} {comparison.before.version} -> {comparison.after.version}: "
    out.print(Text.assemble((title, "bold"), _level(comparison.level.name)))
    if comparison.changes:
        grid(
            counted(len(comparison.changes), "change"),
            ["column", "rule", "reader", "trainer", "effect"],
            [
                [
                    change.field or "",
                    change.rule,
                    _level(change.reader.name),
                    _level(change.trainer.name),
                    change.reason,
                ]
                for change in comparison.changes
            ],
        )
    if comparison.breaks:
        out.print(Text(f"the change breaks: {', '.join(comparison.breaks)}", "red"))


def _show_checked(result: "TableCheck") -> None:
    if not result.problem and not result.breaks:
        return
    for comparison in result.comparisons:
        if comparison.changes:
            show_comparison(comparison)
    if result.problem:
        out.print(Text.assemble((f"{result.path}: {result.problem}", "bold red")), soft_wrap=True)
        out.print(Text(f"  fix: {result.fix}"), soft_wrap=True)
        if result.bereft:
            out.print(Text(f"  the change breaks: {', '.join(result.bereft)}"), soft_wrap=True)
