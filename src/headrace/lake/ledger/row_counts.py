"""Row counts of a batch by fate, for the totals of partitions and tables."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass

from headrace.lake.ledger.ledger import Batch, JudgementRow
from headrace.lake.ledger.partition_state import PUBLISHABLE
from headrace.lake.tables.snapshot_files import LiveFile


@dataclass(frozen=True)
class Account:
    """Row counts of one batch; delivered = published + quarantined + pending + rejected.

    `repeated` counts exact repeats within the delivery, and `superseded` all rows of a superseded
    batch; `delivered` includes neither.
    """

    delivered: int = 0
    published: int = 0
    quarantined: int = 0
    pending: int = 0
    rejected: int = 0
    repeated: int = 0
    superseded: int = 0


def account(batch: Batch, judgement: JudgementRow, file: LiveFile | None) -> Account:
    """Count the rows of a batch; `judgement` is the verdict that staged its published `file`."""
    if batch.state == "superseded":
        return Account(superseded=judgement.delivered + judgement.repeated)
    counts = {"delivered": judgement.delivered, "repeated": judgement.repeated}
    # All rows of a recalled batch count as rejected, including quarantined rows.
    if batch.state in ("rejected", "recalled"):
        return Account(**counts, rejected=judgement.delivered)
    empty = (
        judgement.verdict in PUBLISHABLE and judgement.passing == 0 and batch.state == "published"
    )
    if file is None and not empty:
        return Account(**counts, pending=judgement.delivered)
    return Account(
        **counts,
        published=file.rows if file else 0,
        quarantined=judgement.quarantined,
        rejected=judgement.rejected,
    )


def current_verdicts(
    judgements: Mapping[tuple[str, str], JudgementRow], live: Mapping[str, str]
) -> dict[str, JudgementRow]:
    """Return the current verdict of each batch.

    This is the verdict that staged its live file, else the verdict that published it without a
    file, else the gate's latest verdict.
    """
    rows: dict[str, list[JudgementRow]] = {}
    for (batch_id, _), judgement in judgements.items():
        rows.setdefault(batch_id, []).append(judgement)
    return {batch_id: _current(verdicts, live.get(batch_id)) for batch_id, verdicts in rows.items()}


def _current(rows: list[JudgementRow], path: str | None) -> JudgementRow:
    """Return the current verdict of a batch; `rows` are its verdicts in order of time."""
    if path is not None:
        published = [row for row in rows if row.staged_path == path]
        # After a rejection of quarantined rows, two verdicts share the file: the later one counts.
        return published[-1] if published else rows[-1]
    empty = [r for r in rows if r.published_at and not r.staged_path and r.withdrawn_at is None]
    if empty:
        return max(empty, key=lambda row: (row.published_at or 0, row.judged_at))
    # A verdict with overrides counts when it is published; until then the gate's own verdict does.
    return next(row for row in reversed(rows) if not row.derived_from)


def total(accounts: Iterable[Account]) -> Account:
    return Account(*(sum(column) for column in zip(*map(astuple, accounts), strict=True)))
