"""Supersession: the batch that replaces a blocked batch of the same partition."""

from collections.abc import Sequence

from headrace.lake.ledger.ledger import Batch
from headrace.sources.base import STANDALONE


def successor(blocked: Batch, passed: Sequence[Batch], visible: Sequence[str]) -> Batch | None:
    """Return the batch that supersedes a blocked one, or None.

    This is the latest of the `passed` batches if it arrived after the blocked batch, or else an
    earlier one that the source now has instead of the blocked batch. `visible` are the ids of the
    batches that the source has now.
    """
    rivals = _rivals(blocked, passed)
    if rivals and blocked.order < rivals[-1].order:
        return rivals[-1]
    if not visible or blocked.batch_id in visible:
        return None
    return next((batch for batch in rivals if batch.batch_id == visible[-1]), None)


def _rivals(blocked: Batch, passed: Sequence[Batch]) -> list[Batch]:
    """Return the `passed` batches that can supersede a blocked batch.

    An independent batch (events, changes of a table, objects) is never a correction of an
    earlier one, except for an object under the same name.
    """
    if blocked.format == "objects":
        return [batch for batch in passed if batch.origin == blocked.origin]
    if blocked.format in STANDALONE:
        return []
    return [batch for batch in passed if batch.format not in STANDALONE]
