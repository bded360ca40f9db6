"""Licences of sources: SPDX expressions, and what each licence means for what is derived from it.

    CC0-1.0                      one licence
    CC-BY-4.0 AND ODbL-1.0       both hold
    (MIT OR GPL-2.0-only)        either may be chosen
    LicenseRef-Acme-2024         an agreement of one's own: for the allowed purposes, not passed on

What each means is in `licences.yaml`, to be read and reviewed by people. What is not there is
refused, and so is a `WITH` exception, which nobody reviewed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from headrace.core.errors import DeclarationError

AGREEMENT = "LicenseRef-"
# Marks of a draft contract: nobody has said yet under which terms the source may be used.
_NOT_STATED = re.compile(r"not_stated|TODO\b.*", re.DOTALL)
_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_ONE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_OLD = {
    "gpl-2.0": "GPL-2.0-only",
    "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3.0": "GPL-3.0-only",
    "gpl-3.0+": "GPL-3.0-or-later",
    "agpl-3.0": "AGPL-3.0-only",
}
# Alternatives of one expression: beyond it, somebody has to say which one is meant.
_MOST = 64


@dataclass(frozen=True)
class Licence:
    """One licence. `under`: what a derived work may be passed on under; None if the choice is free.

    `passed_on` is False where the terms are one's own agreement, or not stated yet.
    """

    id: str
    family: str
    derivatives: bool
    commercial: bool
    credit: bool
    because: str
    under: frozenset[str] | None = None
    passed_on: bool = True


Choice = tuple[Licence, ...]


def choices(expression: str) -> tuple[Choice, ...]:
    """The ways in which `expression` can be complied with: all licences of one of them.

    Raises:
        DeclarationError: it is no SPDX expression, or holds a licence that nobody reviewed.
    """
    if _NOT_STATED.fullmatch(expression.strip()):
        return ((_not_stated(),),)
    tokens = _TOKEN.findall(expression)
    found, rest = _either(tokens, expression)
    if rest or not found or len(found) > _MOST:
        raise _unreadable(expression)
    return tuple(tuple(sorted(one, key=lambda licence: licence.id)) for one in found)


Parsed = tuple[list[frozenset[Licence]], list[str]]


def _either(tokens: list[str], whole: str) -> Parsed:
    found, rest = _all(tokens, whole)
    while rest and rest[0] == "OR":
        more, rest = _all(rest[1:], whole)
        found = found + [one for one in more if one not in found]
    return found, rest


def _all(tokens: list[str], whole: str) -> Parsed:
    found, rest = _one(tokens, whole)
    while rest and rest[0] == "AND":
        more, rest = _one(rest[1:], whole)
        if len(found) * len(more) > _MOST:
            raise _unreadable(whole)
        found = [a | b for a, b in product(found, more)]
    return found, rest


def _one(tokens: list[str], whole: str) -> Parsed:
    if not tokens:
        raise _unreadable(whole)
    first, *rest = tokens
    if first == "(":
        found, rest = _either(rest, whole)
        if not rest or rest[0] != ")":
            raise _unreadable(whole)
        return found, rest[1:]
    return [frozenset({licence(first)})], rest


def licence(name: str) -> Licence:
    """The licence of an SPDX id, whatever its case. Raises DeclarationError if it is not listed."""
    known = _OLD.get(name.lower(), name)
    if known.lower().startswith(AGREEMENT.lower()) and _ONE.fullmatch(known):
        return _agreement(known)
    found = table().get(known.lower())
    if found is None:
        raise DeclarationError(
            f"its licence {name!r} is none that was reviewed",
            fix="write its SPDX id (https://spdx.org/licenses); for an agreement of your own "
            "LicenseRef-<name>; or have it reviewed and added to licences.yaml",
        )
    return found


def _agreement(name: str) -> Licence:
    because = "its terms are an agreement with the owner, which nothing here can read"
    return Licence(name, "agreement", True, True, False, because, passed_on=False)


def _not_stated() -> Licence:
    because = "its contract is a draft that does not state the terms yet"
    return Licence("not_stated", "not stated", True, True, False, because, passed_on=False)


@cache
def table() -> Mapping[str, Licence]:
    """{SPDX id in lower case: licence} of `licences.yaml`."""
    import yaml

    text = Path(__file__).with_name("licences.yaml").read_text(encoding="utf-8")
    found: dict[str, Licence] = {}
    for family, means in yaml.safe_load(text).items():
        ids = means.pop("ids")
        for name in ids:
            under = frozenset(ids[name]) if isinstance(ids, dict) else None
            found[name.lower()] = Licence(name, family, **means, under=under)
    return found


def _unreadable(expression: str) -> DeclarationError:
    return DeclarationError(
        f"its licence {expression!r} is no SPDX expression",
        fix="as in CC-BY-4.0, or (MIT OR Apache-2.0) AND CC0-1.0; operators are upper case",
    )
