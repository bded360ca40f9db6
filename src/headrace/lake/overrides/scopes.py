"""Scopes of actions: the rows that an action applies to.

Each `..._scope` function returns the action with its full scope, or None if the same action was
taken before. It raises RefusedError if the batch's state does not allow the action.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError, RefusedError
from headrace.gates.contract_units import scales_of, to_stored
from headrace.gates.failing_samples import plain
from headrace.lake.conflicts import CONFLICT
from headrace.lake.conflicts.check import rows_in_conflict
from headrace.lake.overrides.audit_trail import Action
from headrace.lake.overrides.batch_case import BatchCase
from headrace.lake.overrides.effective_verdict import releases_batch
from headrace.lake.overrides.overrides import PASSING, QUARANTINED, Fates

_MOST_LISTED = 10
_SETTLED_FIXES = {
    "superseded": "a later delivery of its slot has replaced it",
    "rejected": "it was rejected permanently; deliver a corrected file",
    "recalled": "it was recalled; restore it first: headrace gate restore",
}


def release_scope(case: BatchCase, draft: Action) -> Action | None:
    """Scope of an approval: a blocked batch, or quarantined rows of a published batch."""
    _open(case)
    gate = case.required_standing.gate
    if gate.verdict == "ERROR":
        raise RefusedError(
            f"{case.name}, was not validated: a check crashed",
            where=gate.summary,
            fix="a crash says nothing about the data, so nothing can be released; fix the check, "
            + _rerun(case),
        )
    scope = {"batch": True, **draft.scope} if draft.scope else {}
    # A repeated command must not release the rows that the first one left in quarantine.
    if any(
        releases_batch(action) and dict(action.scope) == scope
        for action in case.required_standing.actions
    ):
        return None
    if case.blocked:
        return _release_batch(case, replace(draft, scope=scope))
    return _release_rows(case, draft)


def _release_batch(case: BatchCase, draft: Action) -> Action:
    if case.report.breaks_contract or case.checked.failing.table is None:
        raise RefusedError(
            f"{case.name}, has no typed rows: it breaks its contract",
            where=case.required_standing.gate.summary,
            fix="ask the producer for a corrected delivery, which supersedes it; or change the"
            f" contract, {_rerun(case)}",
        )
    checks = set(draft.scope.get("checks", ()))
    if checks:
        _require_all_blocking(case, checks)
    after = case.fates(draft)
    _known_lines(draft, after)
    _no_conflict(case, draft, set(after.lines(PASSING)))
    return draft


def _require_all_blocking(case: BatchCase, checks: set[str]) -> None:
    """Raise RefusedError unless `checks` names every check that blocks the batch."""
    failed = {r.id: r for r in case.report.failed}
    unknown = sorted(checks - set(failed))
    if unknown:
        raise RefusedError(
            f"{', '.join(unknown)} did not fail",
            where=case.name,
            fix=f"these failed: {', '.join(failed)}",
        )
    blocking = [r.id for r in failed.values() if not r.verdict.publishes and r.id not in checks]
    if blocking and blocking != ["quarantined_share"]:
        raise RefusedError(
            f"{', '.join(blocking)} would still block it",
            where=case.name,
            fix="name these as well, or release the batch without --check: its failing rows then"
            " stay in quarantine",
        )


def _release_rows(case: BatchCase, draft: Action) -> Action | None:
    action = replace(draft, scope=draft.scope or {"rows": "all"})
    before = case.fates()
    after = case.fates(action)
    if added := set(after.lines(PASSING)) - set(before.lines(PASSING)):
        _known_lines(draft, after)
        _no_conflict(case, draft, added)
        return action
    _same_before(case, action, before)
    return None


def _no_conflict(case: BatchCase, draft: Action, lines: set[int]) -> None:
    """Raise RefusedError if a named row, or every row, is in conflict with a published row.

    Rows in conflict that are not named stay in quarantine, and the other rows are released.
    """
    table = case.checked.failing.table
    assert table is not None  # a batch without typed rows is refused before
    rows = table.filter(pa.array(np.isin(case.checked.failing.lines, sorted(lines))))
    conflicts = rows_in_conflict(case.home, case.table.contract, rows)
    by_check = case.checked.conflicts if CONFLICT in draft.scope.get("checks", ()) else ()
    named_lines = conflicts.keys() & {*by_check, *draft.scope.get("lines", ())}
    if not conflicts or (not named_lines and conflicts.keys() != lines):
        return
    line = min(named_lines or conflicts)
    batch, earlier = conflicts[line]
    raise RefusedError(
        f"rows on lines {_few(sorted(named_lines or conflicts))} have other values than published"
        f" rows of the same key and known-at: line {line} contradicts batch {batch[:12]}, line"
        f" {earlier}",
        where=case.name,
        fix="a table holds one version of a row. If the published row is wrong, remove it first:"
        f" headrace gate quarantine {case.table.name} {batch[:12]} --line {earlier} --reason ...;"
        " else ask for a correction with a later known-at or sequence",
    )


def _known_lines(draft: Action, state: Fates) -> None:
    """Raise RefusedError unless every line that the action names is published after it."""
    lines = list(draft.scope.get("lines", ()))
    unknown = [line for line in lines if line not in state.fate]
    if unknown:
        raise RefusedError(f"no rows on lines {_few(unknown)}", fix="see: headrace gate rows")
    unpublished = [line for line in lines if state.fate[line] != PASSING]
    if unpublished:
        why = sorted({reason for line in unpublished for reason in state.reasons.get(line, ())})
        raise RefusedError(
            f"rows on lines {_few(unpublished)} cannot be published: {', '.join(why)}",
            fix="a row that breaks its contract has no valid key, time or value, and a rejected one"
            " is rejected permanently; ask for a corrected delivery",
        )


def rows_scope(case: BatchCase, draft: Action) -> Action | None:
    """Scope of a quarantine: published rows that are selected by line, check or value, as lines."""
    _open(case)
    if case.blocked or not case.is_live:
        raise RefusedError(
            f"no row of {case.name}, is published",
            where=case.required_standing.gate.summary,
            fix="if you release it, its failing rows stay in quarantine; to discard it, reject it:"
            f" headrace gate reject {case.table.name} {case.batch.batch_id[:12]} --reason ...",
        )
    before = case.fates()
    lines = _matching(case, draft)
    unknown = [line for line in draft.scope.get("lines", ()) if line not in before.fate]
    if unknown:
        raise RefusedError(f"no rows on lines {_few(unknown)}", fix="see: headrace gate rows")
    published = [line for line in lines if before.fate[line] == PASSING]
    if published:
        return replace(draft, scope={**draft.scope, "lines": published})
    if lines:
        return None
    raise RefusedError(
        f"no row of {case.name}, is selected",
        fix="write values as `headrace gate rows --json` does, and lines as the file counts them",
    )


def _matching(case: BatchCase, draft: Action) -> list[int]:
    lines = set(draft.scope.get("lines", ()))
    failing = case.checked.failing
    for check in draft.scope.get("checks", ()):
        lines |= set(map(int, failing.lines[failing.rows.get(check, np.empty(0, np.int64))]))
    if where := draft.scope.get("where"):
        lines |= _with_values(case, where)
    return sorted(lines)


def _with_values(case: BatchCase, where: dict[str, str]) -> set[int]:
    table = case.checked.failing.table
    names = [] if table is None else table.schema.names
    unknown = sorted(set(where) - set(names))
    if table is None or unknown:
        raise DeclarationError(
            f"no column {', '.join(unknown)} in {case.table.name}",
            fix=f"one of {', '.join(n for n in names if not n.startswith('_'))}",
        )
    rows = table.select([*where, "_line"]).to_pylist()
    scales = scales_of(case.table.contract)

    def matches(name: str, stored: object, written: str) -> bool:
        if scale := scales.get(name):
            return stored is not None and stored == to_stored(written, scale)
        return str(plain(stored)) == written

    return {row["_line"] for row in rows if all(matches(n, row[n], v) for n, v in where.items())}


def reject_scope(case: BatchCase, draft: Action) -> Action | None:
    """Scope of a rejection: a whole pending batch, or quarantined rows of a published batch."""
    if case.batch.state == "rejected":
        return None
    _open(case)
    if case.batch.state == "pending":
        if draft.scope:
            raise RefusedError(
                f"{case.name}, is pending: only the whole batch can be rejected",
                fix="release it first: its failing rows stay in quarantine, and can be rejected",
            )
        return draft
    if case.blocked:
        raise RefusedError(
            f"{case.name}, is blocked now, and was published under earlier rules",
            where=case.required_standing.gate.summary,
            fix="remove it from the table: headrace gate recall; or release it",
        )
    action = replace(draft, scope=draft.scope or {"rows": "all"})
    before, after = case.fates(), case.fates(action)
    if after.fate != before.fate:
        return action
    _same_before(case, action, before)
    return None


def rerun_scope(case: BatchCase, draft: Action) -> Action:
    """Scope of a rerun: a batch that is not settled and still has its delivered bytes."""
    if case.batch.state in _SETTLED_FIXES:
        raise RefusedError(
            f"{case.name}, is {case.batch.state}",
            where=case.batch.note,
            fix="it is no longer validated; deliver a corrected file",
        )
    path = case.home.landing / case.batch.raw_path
    if not path.exists():
        raise RefusedError(
            f"the delivered bytes of {case.name}, are gone",
            where=str(path),
            fix=f"deliver {case.batch.origin} again; the same bytes restore the same batch",
        )
    return draft


def recall_scope(case: BatchCase, draft: Action) -> Action | None:
    """Scope of a recall: a whole published batch."""
    if case.batch.state == "recalled":
        return None
    if case.batch.state != "published":
        raise RefusedError(
            f"{case.name}, is {case.batch.state}, not published",
            where=case.batch.note,
            fix="only a published batch can be recalled; reject a pending batch instead:"
            f" headrace gate reject {case.table.name} {case.batch.batch_id[:12]} --reason ...",
        )
    return draft


def _same_before(case: BatchCase, action: Action, before: Fates) -> None:
    """Raise RefusedError if an action selects no rows, unless it was taken before."""
    verb = action.action
    repeats = [
        a
        for a in case.required_standing.actions
        if a.action == verb and dict(a.scope) == action.scope
    ]
    if repeats:
        return
    quarantined = before.lines(QUARANTINED)
    why = sorted({reason for line in quarantined for reason in before.reasons[line]})
    explanation = (
        f"rows in quarantine: {len(quarantined)}, for {', '.join(why)}"
        if quarantined
        else "it has no rows in quarantine"
    )
    raise RefusedError(
        f"no row of {case.name}, can be {verb}{'d' if verb.endswith('e') else 'ed'} by this"
        f" selection: {explanation}",
        fix=f"see them: headrace gate rows {case.table.name} {case.batch.batch_id[:12]}",
    )


def _open(case: BatchCase) -> None:
    if case.batch.state in _SETTLED_FIXES:
        raise RefusedError(
            f"{case.name}, is {case.batch.state}",
            where=case.batch.note,
            fix=_SETTLED_FIXES[case.batch.state],
        )


def _rerun(case: BatchCase) -> str:
    return (
        f"then validate it again: headrace gate rerun {case.table.name} {case.batch.batch_id[:12]}"
        " --reason ..."
    )


def _few(lines: Iterable[int]) -> str:
    numbers = list(lines)
    rest = f" and {len(numbers) - _MOST_LISTED} more" if len(numbers) > _MOST_LISTED else ""
    return ", ".join(map(str, numbers[:_MOST_LISTED])) + rest
