"""Choice of the row that stays, among rows in conflict; a pure function of the rows."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[str, int]  # batch and line of a row


class RowVersion(NamedTuple):
    """A row that shares its key, known-at and sequence with a row of other content.

    Rows with the same identity have the same number `group`. Within a group, rows with the same
    values have the same number `content`.
    """

    group: int
    content: int
    batch: str
    line: int


@dataclass(frozen=True)
class Loser:
    """Row to hold (quarantine, or block with its batch), and the place of the row that stays."""

    line: int
    earlier: Place


def resolve(
    versions: Iterable[RowVersion],
    arriving: Sequence[str],
    published: Collection[Place],
    blocks: Callable[[str, int], bool],
) -> dict[str, list[Loser]]:
    """Return the rows to hold, by batch and in order of line.

    Args:
        versions: rows whose identity occurs with different values.
        arriving: batches to publish, in order of delivery; all other batches in `versions` are
            published already.
        published: places of rows of `arriving` that the table holds already; these rows stay.
        blocks: function of a batch and its number of held rows; True if the batch is blocked, so
            that later batches are not in conflict with its rows.
    """
    groups: dict[int, dict[int, Place]] = {}  # places of the rows that stay, by group and content
    waiting: dict[str, list[RowVersion]] = {batch: [] for batch in arriving}
    for version in sorted(versions, key=lambda row: (row.batch, row.line)):
        place = (version.batch, version.line)
        if version.batch in waiting and place not in published:
            waiting[version.batch].append(version)
        else:
            groups.setdefault(version.group, {}).setdefault(version.content, place)
    losers: dict[str, list[Loser]] = {}
    for batch in arriving:
        accepted: list[tuple[dict[int, Place], int]] = []
        for version in waiting[batch]:
            contents = groups.setdefault(version.group, {})
            if version.content in contents:
                continue
            if contents:
                earlier = next(iter(contents.values()))
                losers.setdefault(batch, []).append(Loser(version.line, earlier))
                continue
            contents[version.content] = (batch, version.line)
            accepted.append((contents, version.content))
        if batch in losers and blocks(batch, len(losers[batch])):
            for contents, content in accepted:
                del contents[content]
    return losers
