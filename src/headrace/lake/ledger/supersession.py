"""Supersession: the batch that takes the place of a blocked one of the same partition."""

from collections.abc import Sequence

from headrace.lake.ledger.ledger import Batch
from headrace.sources.base import STANDALONE


def successor(blocked: Batch, passed: Sequence[Batch], visible: Sequence[str]) -> Batch | None:
    """Return the batch that supersedes a blocked one, or None.

    That is the last of the `passed` batches, in order of arrival, if it came later; or an earlier
    one that the source shows again in place of the blocked one. `visible` are the ids of the
    batches that the source shows now.
    """
    rivals = _rivals(blocked, passed)
    if rivals and blocked.order < rivals[-1].order:
        return rivals[-1]
    if not visible or blocked.batch_id in visible:
        return None
    return next((batch for batch in rivals if batch.batch_id == visible[-1]), None)


def _rivals(blocked: Batch, passed: Sequence[Batch]) -> list[Batch]:
    """Return those of `passed` that can take the place of a blocked batch.

    An independent batch (events, changes of a table, objects) is never a correction of an
    earlier one, except for an object under the same name.
    """
    if blocked.format == "objects":
        return [batch for batch in passed if batch.origin == blocked.origin]
    if blocked.format in STANDALONE:
        return []
    return [batch for batch in passed if batch.format not in STANDALONE]
