"""Records of conflicts in the ledger: the held row, its batch's verdict, and the earlier row.

They are stored in the same transaction as the verdict. From them, any process can derive the
verdict again, even after a crash.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.lake.ledger.ledger import JudgementRow, Ledger

CONFLICT = "conflict"


@dataclass(frozen=True)
class Conflict:
    """Row with the identity of an earlier row, but other values.

    Attributes:
        line: line of the held row in its delivery.
        earlier_batch, earlier_line: place of the row that stays in the table.
        after: id of the batch's latest action when the conflict was found. A later approval of the
            row publishes it if the earlier row has left the table by then.
    """

    line: int
    earlier_batch: str
    earlier_line: int
    after: int = 0

    @property
    def reason(self) -> str:
        return (
            f"batch {self.earlier_batch[:12]}, line {self.earlier_line}, has the same key and"
            " known-at, and other values; deliver the correction with a later known-at or sequence"
        )


def record_conflicts(
    ledger: Ledger, table: str, row: JudgementRow, conflicts: Iterable[Conflict]
) -> None:
    """Record the conflicts that led to the verdict `row`; idempotent."""
    ledger.connection.executemany(
        "INSERT OR IGNORE INTO conflicts VALUES (?,?,?,?,?,?,?)",
        [
            (table, row.batch_id, row.rule_hash, c.line, c.earlier_batch, c.earlier_line, c.after)
            for c in conflicts
        ],
    )


def conflicts_of(ledger: Ledger, table: str, batch_id: str, rule_hash: str) -> dict[int, Conflict]:
    """Return the conflicts that led to the batch's verdict under `rule_hash`, by line."""
    rows = ledger.connection.execute(
        "SELECT line, earlier_batch, earlier_line, after_action FROM conflicts"
        " WHERE tbl = ? AND batch_id = ? AND rule_hash = ? ORDER BY line",
        (table, batch_id, rule_hash),
    )
    return {row[0]: Conflict(*row) for row in rows}


def conflict_count(ledger: Ledger, table: str) -> dict[tuple[str, str], int]:
    """Return {(batch, rule hash of its verdict): number of held rows}."""
    rows = ledger.connection.execute(
        "SELECT batch_id, rule_hash, count(*) FROM conflicts WHERE tbl = ?"
        " GROUP BY batch_id, rule_hash",
        (table,),
    )
    return {(batch, rule): count for batch, rule, count in rows}
