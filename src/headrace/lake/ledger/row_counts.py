"""Where the rows of a batch are: the one rule of counting, for slots and for whole tables."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass

from headrace.lake.ledger.ledger import Batch, JudgementRow
from headrace.lake.ledger.partition_state import PUBLISHABLE
from headrace.lake.tables.snapshot_files import LiveFile


@dataclass(frozen=True)
class Account:
    """Where the rows of one batch are; delivered = published + quarantined + pending + rejected."""

    delivered: int = 0
    published: int = 0
    quarantined: int = 0
    pending: int = 0
    rejected: int = 0
    repeated: int = 0
    superseded: int = 0


def account(batch: Batch, judged: JudgementRow, file: LiveFile | None) -> Account:
    """Count one batch. `file` is its published file, `judged` the verdict that file came from."""
    if batch.state == "superseded":
        return Account(superseded=judged.delivered + judged.repeated)
    whole = {"delivered": judged.delivered, "repeated": judged.repeated}
    # What was recalled is rejected as a whole, with the rows of it that were quarantined.
    if batch.state in ("rejected", "recalled"):
        return Account(**whole, rejected=judged.delivered)
    empty = judged.verdict in PUBLISHABLE and judged.passing == 0 and batch.state == "published"
    if file is None and not empty:
        return Account(**whole, pending=judged.delivered)
    return Account(
        **whole,
        published=file.rows if file else 0,
        quarantined=judged.quarantined,
        rejected=judged.rejected,
    )


def current_verdicts(
    judgements: Mapping[tuple[str, str], JudgementRow], live: Mapping[str, str]
) -> dict[str, JudgementRow]:
    """For each batch the verdict its live file came from, or that left it without one, or else the
    latest one.
    """
    rows: dict[str, list[JudgementRow]] = {}
    for (batch_id, _), judged in judgements.items():
        rows.setdefault(batch_id, []).append(judged)
    return {batch_id: _current(verdicts, live.get(batch_id)) for batch_id, verdicts in rows.items()}


def _current(rows: list[JudgementRow], path: str | None) -> JudgementRow:
    """`rows` in order of judging."""
    if path is not None:
        shown = [row for row in rows if row.staged_path == path]
        # Two share a file where people rejected rows out of quarantine; the later one counts them.
        return shown[-1] if shown else rows[-1]
    empty = [r for r in rows if r.published_at and not r.staged_path and r.withdrawn_at is None]
    if empty:
        return max(empty, key=lambda row: (row.published_at or 0, row.judged_at))
    # What people did counts when it is published; until then the gate's own word stands.
    return next(row for row in reversed(rows) if not row.derived_from)


def total(accounts: Iterable[Account]) -> Account:
    return Account(*(sum(column) for column in zip(*map(astuple, accounts), strict=True)))
