"""Conflicts: two rows with the same key, known-at and sequence, but different values.

If one of the rows is already published, it stays in the table. If both arrive together, the row of
the earlier delivery is published; within a micro-batch of a stream, the row with the lower offset.
The other row is quarantined or, if the contract says so, its batch is blocked. So a table never
holds both rows.
"""

from headrace.lake.conflicts.records import CONFLICT, Conflict, conflict_count, conflicts_of

__all__ = ["CONFLICT", "Conflict", "conflict_count", "conflicts_of"]
