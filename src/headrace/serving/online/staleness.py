"""Staleness limits of views: answers from data that are too old are flagged or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from headrace.core.clock import duration, duration_text
from headrace.core.errors import DeclarationError, StateError
from headrace.features.spec import RowTransform, View


@dataclass(frozen=True)
class Staleness:
    """Staleness limit: the store must hold everything published by `t - at_most` for `view`.

    Otherwise the answer lists the view as stale (`flag`), or is refused (`refuse`).
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
                f"{self.at_most!r}, {self.then!r} is not a staleness limit",
                where=f"Staleness({self.view!r})",
                fix='give an age and an action: Staleness("carrier", "10m", then="refuse")',
            )


class StaleError(StateError):
    """The store's data are older than the staleness limit of a view."""


def limits(declared: tuple[Staleness, ...], views: Sequence[View]) -> dict[str, list[Staleness]]:
    """Group the declared limits by the table that their view reads.

    Raises:
        DeclarationError: a view is unknown, reads no table, or has two limits with the same action.
    """
    tables = {view.name: view.table for view in views if not isinstance(view, RowTransform)}
    if not isinstance(declared, tuple):
        raise DeclarationError(
            f"{declared!r} is not a tuple",
            where="max_staleness",
            fix='add a comma: max_staleness=(Staleness("carrier", "10m"),)',
        )
    by_table: dict[str, list[Staleness]] = {}
    for staleness in declared:
        if not isinstance(staleness, Staleness):
            raise DeclarationError(
                f"{staleness!r} is not a staleness limit of a view",
                where="max_staleness",
                fix='write a tuple of limits: max_staleness=(Staleness("carrier", "10m"),)',
            )
        if staleness.view not in tables:
            raise DeclarationError(
                f"there is no view {staleness.view!r} that reads a table",
                where="max_staleness",
                fix=f"use one of {', '.join(tables)}",
            )
        if any(
            (o.view, o.then) == (staleness.view, staleness.then)
            for o in by_table.get(tables[staleness.view], ())
        ):
            raise DeclarationError(
                f"view {staleness.view} has two limits with action {staleness.then}",
                where="max_staleness",
                fix="keep one; a view may have one limit with flag and a greater one with refuse",
            )
        by_table.setdefault(tables[staleness.view], []).append(staleness)
    return by_table


def stale_views(
    limits: Mapping[str, Sequence[Staleness]], as_of: Mapping[str, int | None], t: int
) -> tuple[str, ...]:
    """Return the views that exceed a limit with `then="flag"` at t.

    Raises:
        StaleError: a view exceeds a limit with `then="refuse"`.
    """
    if not limits:
        return ()
    views = []
    for table, declared in limits.items():
        moment = as_of.get(table)
        for limit in declared:
            if moment is not None and t - moment <= duration(limit.at_most):
                continue
            if limit.then == "refuse":
                age = "" if moment is None else f"last applied {duration_text(t - moment)} before t"
                raise StaleError(
                    f"view {limit.view} is stale: table {table} was {age or 'never applied'}",
                    where="online store",
                    fix="run headrace online sync, or raise the limit in max_staleness",
                )
            views.append(limit.view)
    return tuple(views)
