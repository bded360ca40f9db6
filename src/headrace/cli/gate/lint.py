"""`headrace gate lint`: every suite of the project against the contract of its table."""

import typer

from headrace.cli.gate.gates import Json, tables
from headrace.cli.output import MISUSED, emit_json, explained, grid, out


@explained
def lint(*, as_json: Json = False) -> None:
    """Read every suite as the gate will, and name each fault with its place and its fix.

    At run time a suite that cannot be read makes every new batch of its table an ERROR, and other
    tables go on. Run this in CI: it exits with 2 if any suite has a fault.
    """
    from headrace.core.home import project_root
    from headrace.gates.lint import lint as lint_suite
    from headrace.gates.lint import unread
    from headrace.pipeline.load import other_tables

    known = [*tables(None), *other_tables()]
    found = [lint_suite(table.suite, table.contract) for table in known]
    stray = unread(project_root() / "quality_suites", [table.suite for table in known])
    faults = [fault for one in found for fault in one["faults"]]
    warnings = [warning for one in found for warning in one["warnings"]]
    if as_json:
        emit_json({"ok": not faults, "suites": found, "unread": stray})
    else:
        grid(
            f"{len(found)} suites",
            ["table", "suite", "checks#", "asked#", "by level#", "in shadow#", "faults#"],
            [
                [
                    one["table"],
                    one["suite"],
                    one["checks"],
                    one["asked"],
                    one["by_level"],
                    one["shadow"],
                    len(one["faults"]),
                ]
                for one in found
            ],
        )
        for fault in [*faults, *warnings]:
            label = "warning: " if fault in warnings else ""
            text = f"{label}{fault['what']}\n  where: {fault['where']}\n  fix:   {fault['fix']}"
            out.print(text, soft_wrap=True, highlight=False, markup=False)
        for path in stray:
            out.print(f"no table reads {path}", soft_wrap=True, highlight=False, markup=False)
    if faults:
        raise typer.Exit(MISUSED)
