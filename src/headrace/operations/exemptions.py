"""Exemptions: accept what an approved batch showed, mute findings in a season, and end both.

Each is one line of the audit trail with a person, a reason and an end. It applies to batches that
are validated while it lasts; the verdicts of earlier batches stay as they are.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from headrace.contracts.drift import ACTIONS
from headrace.core.clock import DAY, iso, now_us
from headrace.core.errors import DeclarationError, RefusedError
from headrace.core.home import Home
from headrace.core.permissions import PermissionPolicy
from headrace.gates.exemptions import AcceptedFinding, Days, Season
from headrace.gates.exemptions.scopes import ENDED, FINDINGS, KINDS
from headrace.gates.semantic_checks import observations_of
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import Action, record
from headrace.lake.overrides.batch_case import BatchCase
from headrace.lake.overrides.exemptions import recorded_exemptions
from headrace.lake.table import Table
from headrace.operations.authorization import permit

ACCEPTED = 90 * DAY  # default duration of an acceptance
MUTED = 365 * DAY  # default duration of a mute in a season or on single days
# Nobody remembers after two years why something was normal.
LONGEST = 2 * 366 * DAY


def acceptance(case: BatchCase, principal: str, reason: str, until: int) -> Action:
    """Return the acceptance of what drift detection reported in a batch.

    Raises:
        DeclarationError: it reported nothing in this batch, or the end is not possible.
    """
    _possible_end("the acceptance", until, now_us())
    observed = observations_of(case.report.results)
    if not observed:
        raise DeclarationError(
            f"{case.name}: drift detection reported nothing that could be accepted for later"
            " batches",
            where=case.required_standing.gate.summary,
            fix="approve it without --data-right; a check of the suite that is wrong about the data"
            " is changed in the suite, or muted: headrace gate mute",
        )
    documents = [AcceptedFinding.of(observation).document() for observation in observed]
    draft = case.action("accept", principal, reason, expires_at=until, scope={FINDINGS: documents})
    # The time of the record is that of its transaction; see `exemptions_on_record`.
    return replace(draft, at=0)


def record_acceptance(ledger: Ledger, accept: Action) -> None:
    """Record an acceptance unless the same one is in force; needs an open transaction."""
    repeats = [
        recorded
        for recorded in recorded_exemptions(ledger, accept.table)
        if recorded.in_force(now_us())
        and recorded.action.batch_id == accept.batch_id
        and recorded.action.scope == accept.scope
        and (recorded.action.expires_at or 0) >= (accept.expires_at or 0)
    ]
    if not repeats:
        record(ledger, accept)


def mute_findings(
    home: Home,
    table: Table,
    kinds: Sequence[str],
    *,
    principal: str,
    reason: str,
    columns: Sequence[str] = (),
    period: Season | Days | None = None,
    expires: int | None = None,
    policy: PermissionPolicy | None = None,
) -> Action:
    """Mute kinds of findings of drift detection: they are reported, but do not count.

    Checks of the suite and breaks of the contract are not affected.

    Args:
        home: where the state lives.
        table: as the pipeline declares it.
        kinds: kinds of findings, such as `unusual`.
        principal: who acts.
        reason: why, for the record.
        columns: only findings of one of these columns; none for any.
        period: only batches of these days; None for all.
        expires: microseconds UTC at which the mute ends; None for a year, with a period.
        policy: by default the project's.

    Raises:
        DeclarationError: no such kind or column, no reason, or no possible end.
        RefusedError: the policy does not allow it.
    """
    _require("kind of finding", kinds, ACTIONS)
    if not kinds:
        raise DeclarationError("mute: no kind is named", fix="add --kind, such as --kind unusual")
    _require("column", columns, [field.name for field in table.contract.fields])
    now = now_us()
    if expires is None and period is None:
        raise DeclarationError(
            "the mute has no end",
            fix="add --until with a day or a duration, such as --until 30d; or name the days of the"
            " batches: --from 12-20 --to 01-06, or --on 2026-12-24..2026-12-26",
        )
    end = now + MUTED if expires is None else expires
    _possible_end("the mute", end, now)
    scope: dict[str, Any] = {KINDS: sorted(set(kinds))}
    if columns:
        scope["columns"] = sorted(set(columns))
    if period is not None:
        scope |= period.document()
    draft = Action(
        principal,
        "mute",
        table.name,
        reason,
        suite_hash=table.suite.hash,
        scope=scope,
        expires_at=end,
    )
    with Ledger(home) as ledger:
        permit(ledger, draft, policy)
        with ledger.transaction():
            return record(ledger, draft)


def end_exemptions(
    home: Home,
    table: Table,
    ids: Sequence[int],
    *,
    principal: str,
    reason: str,
    policy: PermissionPolicy | None = None,
) -> Action:
    """End acceptances and mutes of findings before their time, by their ids in the audit trail.

    Raises:
        DeclarationError: no reason.
        RefusedError: the policy does not allow it, or one of them is not in force.
    """
    scope = {ENDED: sorted(set(ids))}
    draft = Action(
        principal, "unmute", table.name, reason, suite_hash=table.suite.hash, scope=scope
    )
    with Ledger(home) as ledger:
        permit(ledger, draft, policy)
        with ledger.transaction():
            present = {
                recorded.action.id
                for recorded in recorded_exemptions(ledger, table.name)
                if recorded.in_force(now_us())
            }
            absent = sorted(set(ids) - present)
            if not absent:
                return record(ledger, draft)
        refusal = f"{', '.join(map(str, absent))}: no such mute of {table.name} is in force"
        record(ledger, replace(draft, allowed=False, note=refusal))
        raise RefusedError(
            refusal, fix=f"list those in force: headrace gate mutes --table {table.name}"
        )


def _require(what: str, names: Sequence[str], vocabulary: Collection[str]) -> None:
    unknown = sorted(set(names) - set(vocabulary))
    if unknown:
        raise DeclarationError(
            f"no {what} {', '.join(map(repr, unknown))}",
            fix=f"one of {', '.join(sorted(vocabulary))}",
        )


def _possible_end(what: str, end: int, now: int) -> None:
    if end <= now:
        raise DeclarationError(f"{what} would have ended {iso(end)}", fix="give a later day")
    if end > now + LONGEST:
        raise DeclarationError(
            f"{what} would last until {iso(end)}, which is more than two years",
            fix="give an earlier day, and extend it when the reason still holds",
        )
