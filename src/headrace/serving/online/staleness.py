"""How old what a view serves from may be, and what is done when it is older."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.core.clock import duration, duration_text
from headrace.core.errors import DeclarationError, StateError
from headrace.features.spec import RowTransform, View


@dataclass(frozen=True)
class Staleness:
    """Limit for `view`: the store must hold all that was published by `t - at_most`.

    If not, its vectors are flagged with it, or refused.
    """

    view: str
    at_most: str
    then: Literal["flag", "refuse"] = "flag"

    def __post_init__(self) -> None:
        try:
            age = duration(self.at_most) if isinstance(self.at_most, str) else -1
        except DeclarationError:
            age = -1
        if age < 0 or self.then not in {"flag", "refuse"}:
            raise DeclarationError(
                f"{self.at_most!r}, {self.then!r} is no staleness",
                where=f"Staleness({self.view!r})",
                fix='an age and what is done then: Staleness("carrier", "10m", then="refuse")',
            )


class StaleError(StateError):
    """A store is older than a view declares that it may be."""


def limits(declared: tuple[Staleness, ...], views: Sequence[View]) -> dict[str, list[Staleness]]:
    """The declarations by the table that their view reads.

    Raises:
        DeclarationError: a view is unknown or reads no table, or has two limits for one thing.
    """
    tables = {view.name: view.table for view in views if not isinstance(view, RowTransform)}
    if not isinstance(declared, tuple):
        raise DeclarationError(
            f"{declared!r} is no tuple",
            where="max_staleness",
            fix='with a comma: max_staleness=(Staleness("carrier", "10m"),)',
        )
    found: dict[str, list[Staleness]] = {}
    for staleness in declared:
        if not isinstance(staleness, Staleness):
            raise DeclarationError(
                f"{staleness!r} is no staleness of a view",
                where="max_staleness",
                fix='a tuple of them: max_staleness=(Staleness("carrier", "10m"),)',
            )
        if staleness.view not in tables:
            raise DeclarationError(
                f"there is no view {staleness.view!r} that reads a table",
                where="max_staleness",
                fix=f"use one of {', '.join(tables)}",
            )
        if any(
            (o.view, o.then) == (staleness.view, staleness.then)
            for o in found.get(tables[staleness.view], ())
        ):
            raise DeclarationError(
                f"view {staleness.view} has two ages at which to {staleness.then}",
                where="max_staleness",
                fix="keep one; a view may have one to flag and a greater one to refuse",
            )
        found.setdefault(tables[staleness.view], []).append(staleness)
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
    views = []
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
                    fix="headrace online sync, or a greater age in the pipeline's max_staleness",
                )
            views.append(one.view)
    return tuple(views)
