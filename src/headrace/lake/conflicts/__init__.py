"""Conflicts: rows of two deliveries with one key, known-at and sequence, and different values.

A published row stays in the table. Of rows that arrive together, the row of the earlier delivery
stays or, within a micro-batch of a stream, the row with the lower offset. The other row is
quarantined, or its batch is blocked if the contract says so, so a table never holds both.
"""

from headrace.lake.conflicts.records import CONFLICT, Conflict, conflict_count, conflicts_of

__all__ = ["CONFLICT", "Conflict", "conflict_count", "conflicts_of"]
