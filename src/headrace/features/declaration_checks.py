"""Checks of the names and durations in a feature declaration, without its contracts."""

import re
from collections.abc import Mapping

from headrace.core.clock import duration
from headrace.core.errors import DeclarationError

# A longer window must be a mistake, and adding it to a time could overflow int64.
LONGEST = duration("36500d")
# Names of views are used as folder names and column headers, so their length is limited.
_LONGEST_NAME = 100
MODES = ("declared", "recorded")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def check_name(name: object, what: str) -> None:
    """Check the name of a view, lookup, transform, label or feature."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "__" in name:
        raise DeclarationError(
            f"{name!r} is not a name for a {what}",
            where=f"{what} {name!r}",
            fix='letters, digits and single underscores, starting with a letter: name="..."',
        )
    if len(name) > _LONGEST_NAME and what != "feature":
        raise DeclarationError(
            f"the name has {len(name)} characters",
            where=f"{what} {name[:30]}...",
            fix=f"use at most {_LONGEST_NAME} characters",
        )


def check_names(names: object, what: str, where: str, *, min_count: int = 1) -> None:
    """Check a tuple of distinct column names."""
    if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
        raise DeclarationError(
            f"{what} is {names!r}, not a tuple of names",
            where=where,
            fix=f'name each column once, as in {what}=("<name>",); a single name needs the comma',
        )
    if len(names) < min_count or len(set(names)) < len(names):
        raise DeclarationError(
            f"{what} {names!r} is empty or names a column twice",
            where=where,
            fix="name each column once",
        )


def check_duration(text: object, what: str, where: str) -> int:
    """Check a duration, positive or negative, of up to 100 years; return its microseconds."""
    if not isinstance(text, str):
        raise DeclarationError(
            f"{what} {text!r} is not a duration", where=where, fix="write a text, such as '90m'"
        )
    try:
        microseconds = duration(text)
    except DeclarationError as error:
        raise DeclarationError(f"{what}: {error.what}", where=where, fix=error.fix) from None
    if not -LONGEST <= microseconds <= LONGEST:
        raise DeclarationError(
            f"{what} {text!r} is more than 100 years", where=where, fix="write a shorter one"
        )
    return microseconds


def spine_names(
    entity: tuple[str, ...], entity_map: Mapping[str, str], what: str, where: str
) -> tuple[str, ...]:
    """Check an entity and its `entity_map`; return the spine column for each entity column."""
    check_names(entity, what, where)
    if not isinstance(entity_map, Mapping) or not set(entity_map) <= set(entity):
        raise DeclarationError(
            f"entity_map {entity_map!r} does not fit {what} {entity!r}",
            where=where,
            fix=f"map columns of {what} to spine columns",
        )
    return tuple(entity_map.get(column, column) for column in entity)


def check_defaults(default: object, columns: tuple[str, ...], where: str) -> None:
    """Check the default of a feature with several columns: one value for each, or None."""
    fits = isinstance(default, tuple) and len(default) == len(columns)
    if default is not None and not fits:
        raise DeclarationError(
            f"default {default!r} does not fit columns {columns!r}",
            where=where,
            fix="give one value, or None, for each column",
        )


def check_mode(mode: str) -> None:
    """Raise DeclarationError unless the mode is `declared` or `recorded`."""
    if mode not in MODES:
        raise DeclarationError(
            f"{mode!r} is not a mode of availability",
            where="a frame, spine, label or pipeline",
            fix=f"use one of: {', '.join(MODES)}",
        )
