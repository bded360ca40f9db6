"""The decision which of several versions of a row stays: a pure function of the rows."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Place = tuple[str, int]  # batch and line of a row


class RowVersion(NamedTuple):
    """A row that shares its key, known-at and sequence with a row of other content.

    `group` numbers the key, known-at and sequence; `content` numbers the values within it.
    """

    group: int
    content: int
    batch: str
    line: int


@dataclass(frozen=True)
class Loser:
    """A row that is held, and the place of the row that stays."""

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
        versions: rows whose key, known-at and sequence several contents claim.
        arriving: batches to be published, the earlier delivery first; all others are published.
        published: rows of `arriving` that the table shows already; nothing takes these out.
        blocks: says if a batch with so many held rows is blocked: then none of its rows counts.
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
