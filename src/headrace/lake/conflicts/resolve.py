"""Choice of the version that stays, among rows in conflict: a pure function of the rows."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[str, int]  # batch and line of a row


class RowVersion(NamedTuple):
    """A row that shares its key, known-at and sequence with a row of other content.

    `group` numbers the identities; `content` numbers the different contents within a group.
    """

    group: int
    content: int
    batch: str
    line: int


@dataclass(frozen=True)
class Loser:
    """Held row, and the place of the row that stays."""

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
        versions: rows whose identity occurs with several contents.
        arriving: batches to be published, in order of delivery; all other batches are published.
        published: rows of `arriving` that the table holds already; they stay.
        blocks: function of a batch and its number of held rows; True if the batch is blocked, so
            that none of its rows counts.
    """
    groups: dict[int, dict[int, Place]] = {}  # the places that stay, by group and content
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
