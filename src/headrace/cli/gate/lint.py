"""`headrace gate lint`: validation of every suite against the contract of its table."""

import typer

from headrace.cli.gate.gates import tables
from headrace.cli.options import AsJson
from headrace.cli.output import MISUSED, emit_json, explained, grid, out
from headrace.web.wording import counted


@explained
def lint(*, as_json: AsJson = False) -> None:
    """Validate every suite as the gate will read it; list each error with its location and fix.

    At run time an invalid suite gives every new batch of its table the verdict ERROR; other tables
    are not affected. Run this command in CI: exit code 2 if a suite has an error.
    """
    from headrace.core.home import project_root
    from headrace.gates.lint import lint as lint_suite
    from headrace.gates.lint import unread
    from headrace.pipeline.load import other_tables

    declared = [*tables(None), *other_tables()]
    suites = [lint_suite(table.suite, table.contract) for table in declared]
    stray = unread(project_root() / "quality_suites", [table.suite for table in declared])
    faults = [fault for suite in suites for fault in suite["faults"]]
    warnings = [warning for suite in suites for warning in suite["warnings"]]
    if as_json:
        emit_json({"ok": not faults, "suites": suites, "unread": stray})
    else:
        grid(
            counted(len(suites), "suite"),
            ["table", "suite", "checks#", "delegated#", "by segment#", "in shadow#", "errors#"],
            [
                [
                    suite["table"],
                    suite["suite"],
                    suite["checks"],
                    suite["asked"],
                    suite["by_level"],
                    suite["shadow"],
                    len(suite["faults"]),
                ]
                for suite in suites
            ],
        )
        for fault in [*faults, *warnings]:
            label = "warning: " if fault in warnings else ""
            text = f"{label}{fault['what']}\n  where: {fault['where']}\n  fix:   {fault['fix']}"
            out.print(text, soft_wrap=True, highlight=False, markup=False)
        for path in stray:
            out.print(f"no table uses {path}", soft_wrap=True, highlight=False, markup=False)
    if faults:
        raise typer.Exit(MISUSED)
