"""How old what a view serves from may be, and what is done when it is older."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.clock import duration, duration_text
from headrace.errors import DeclarationError, StateError
from headrace.features.spec import RowTransform, View


@dataclass(frozen=True)
class Staleness:
    """`view` is served from a store that held all that was published at `t - at_most` or later.

    If not, its vectors are flagged with it, or refused.
    """

    view: str
    at_most: str
    then: Literal["flag", "refuse"] = "flag"

    def __post_init__(self) -> None:
        if duration(self.at_most) < 0 or self.then not in ("flag", "refuse"):
            raise DeclarationError(
                f"{self.at_most!r}, {self.then!r} is no staleness",
                where=f"Staleness({self.view!r})",
                fix='as in Staleness("carrier", "10m", then="refuse")',
            )


class StaleError(StateError):
    """A view would be served from a store that is older than it declares."""


def limits(declared: Iterable[Staleness], views: Sequence[View]) -> dict[str, list[Staleness]]:
    """The declarations by the table that their view reads.

    Raises:
        DeclarationError: a view is unknown or reads no table.
    """
    tables = {view.name: view.table for view in views if not isinstance(view, RowTransform)}
    found: dict[str, list[Staleness]] = {}
    for one in declared:
        if one.view not in tables:
            raise DeclarationError(
                f"there is no view {one.view!r} that reads a table",
                where="Staleness",
                fix=f"use one of {', '.join(tables)}",
            )
        found.setdefault(tables[one.view], []).append(one)
    return found


def stale_views(
    limits: Mapping[str, Sequence[Staleness]], as_of: Mapping[str, int | None], t: int
) -> tuple[str, ...]:
    """Views that are staler at t than they may be, and are only flagged.

    Raises:
        StaleError: one is that is to be refused.
    """
    if not limits:
        return ()
    found = []
    for table, declared in limits.items():
        moment = as_of.get(table)
        for one in declared:
            if moment is not None and t - moment <= duration(one.at_most):
                continue
            if one.then == "refuse":
                age = "ever" if moment is None else duration_text(t - moment)
                raise StaleError(
                    f"view {one.view} is stale: table {table} was last applied {age} before t",
                    where="online store",
                    fix="materialise the store, or allow a greater age",
                )
            found.append(one.view)
    return tuple(found)
