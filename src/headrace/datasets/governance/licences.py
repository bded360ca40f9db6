"""Licences of sources: SPDX expressions, and the effect of each licence on derived works.

    CC0-1.0                      one licence
    CC-BY-4.0 AND ODbL-1.0       both hold
    (MIT OR GPL-2.0-only)        either may be chosen
    LicenseRef-Acme-2024         a private agreement: the data must not be passed on

The file `licences.yaml` describes each licence; people review it. A licence that is not listed
there is refused, and so is every `WITH` exception, since no exception was reviewed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

from headrace.core.errors import DeclarationError

AGREEMENT = "LicenseRef-"
# Placeholders in draft contracts, which do not state a licence yet.
_NOT_STATED = re.compile(r"not_stated|TODO\b.*", re.DOTALL)
_TOKEN = re.compile(r"\s*([()]|[^\s()]+)")
_LICENCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")
_OLD = {
    "gpl-2.0": "GPL-2.0-only",
    "gpl-2.0+": "GPL-2.0-or-later",
    "gpl-3.0": "GPL-3.0-only",
    "gpl-3.0+": "GPL-3.0-or-later",
    "agpl-3.0": "AGPL-3.0-only",
}
# Maximum number of alternatives of an expression; expressions with more are rejected.
_MAX_ALTERNATIVES = 64


@dataclass(frozen=True)
class Licence:
    """One licence. `under` names the licences allowed for derived works; None if any is allowed.

    `passed_on` is False for a private agreement and for terms that are not stated yet.
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
    """Alternatives of `expression`; a user must comply with all licences of one alternative.

    Raises:
        DeclarationError: `expression` is not SPDX, or names a licence that is not reviewed.
    """
    if _NOT_STATED.fullmatch(expression.strip()):
        return ((_not_stated(),),)
    tokens = _TOKEN.findall(expression)
    alternatives, rest = _either(tokens, expression)
    if rest or not alternatives or len(alternatives) > _MAX_ALTERNATIVES:
        raise _unreadable(expression)
    return tuple(
        tuple(sorted(alternative, key=lambda licence: licence.id)) for alternative in alternatives
    )


Parsed = tuple[list[frozenset[Licence]], list[str]]


def _either(tokens: list[str], expression: str) -> Parsed:
    alternatives, rest = _all(tokens, expression)
    while rest and rest[0] == "OR":
        added, rest = _all(rest[1:], expression)
        alternatives = alternatives + [
            alternative for alternative in added if alternative not in alternatives
        ]
    return alternatives, rest


def _all(tokens: list[str], expression: str) -> Parsed:
    combinations, rest = _primary(tokens, expression)
    while rest and rest[0] == "AND":
        factors, rest = _primary(rest[1:], expression)
        if len(combinations) * len(factors) > _MAX_ALTERNATIVES:
            raise _unreadable(expression)
        combinations = [a | b for a, b in product(combinations, factors)]
    return combinations, rest


def _primary(tokens: list[str], expression: str) -> Parsed:
    if not tokens:
        raise _unreadable(expression)
    first, *rest = tokens
    if first == "(":
        alternatives, rest = _either(rest, expression)
        if not rest or rest[0] != ")":
            raise _unreadable(expression)
        return alternatives, rest[1:]
    return [frozenset({licence(first)})], rest


def licence(name: str) -> Licence:
    """Licence of an SPDX id in any case. Raises DeclarationError if it is not listed."""
    spdx_id = _OLD.get(name.lower(), name)
    if spdx_id.lower().startswith(AGREEMENT.lower()) and _LICENCE_ID.fullmatch(spdx_id):
        return _agreement(spdx_id)
    entry = table().get(spdx_id.lower())
    if entry is None:
        raise DeclarationError(
            f"its licence {name!r} is not reviewed",
            fix="write its SPDX id (https://spdx.org/licenses); for an agreement of your own "
            "LicenseRef-<name>; or have it reviewed and added to licences.yaml",
        )
    return entry


def _agreement(name: str) -> Licence:
    because = "its terms are an agreement with the owner, which nothing here can read"
    return Licence(name, "agreement", True, True, False, because, passed_on=False)


def _not_stated() -> Licence:
    because = "its contract is a draft that does not state the terms yet"
    return Licence("not_stated", "not stated", True, True, False, because, passed_on=False)


@cache
def table() -> Mapping[str, Licence]:
    """Licences of `licences.yaml`, by SPDX id in lower case."""
    import yaml

    text = Path(__file__).with_name("licences.yaml").read_text(encoding="utf-8")
    by_id: dict[str, Licence] = {}
    for family, means in yaml.safe_load(text).items():
        ids = means.pop("ids")
        for name in ids:
            under = frozenset(ids[name]) if isinstance(ids, dict) else None
            by_id[name.lower()] = Licence(name, family, **means, under=under)
    return by_id


def _unreadable(expression: str) -> DeclarationError:
    return DeclarationError(
        f"its licence {expression!r} is not an SPDX expression",
        fix="as in CC-BY-4.0, or (MIT OR Apache-2.0) AND CC0-1.0; operators are upper case",
    )
