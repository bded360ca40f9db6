"""How long a release may be kept: what the contracts of its sources say, in ODCS's own words.

    slaProperties:
      - {property: retention, value: 3, unit: y}

The period of a source runs from the earliest prediction time in the release, the oldest row it
holds; the shortest of all sources decides. Later than that the release refuses to open, unless a
reason is given, which is recorded, and `headrace dataset retire` removes it for good.
"""

from collections.abc import Mapping
from typing import Any

from headrace.core.clock import DAY, HOUR, MINUTE, iso
from headrace.core.errors import DeclarationError

_UNITS = {
    "minute": MINUTE,
    "hour": HOUR,
    "day": DAY,
    "week": 7 * DAY,
    # A retention is a promise to somebody: the shortest month and year there are keep it.
    "month": 28 * DAY,
    "year": 365 * DAY,
}
_SPELLED = {
    "m": "minute",
    "min": "minute",
    "h": "hour",
    "hr": "hour",
    "d": "day",
    "w": "week",
    "wk": "week",
    "mo": "month",
    "mth": "month",
    "y": "year",
    "yr": "year",
}


def retention_us(document: Mapping[str, Any], where: str = "") -> int | None:
    """Microseconds that the rows of a contract may be kept; None if it does not say.

    Args:
        document: the contract as it was read.
        where: its file, for messages.

    Raises:
        DeclarationError: it says so, but not in a way that can be kept to.
    """
    found = [
        _period(one, where)
        for one in document.get("slaProperties") or ()
        if isinstance(one, Mapping) and one.get("property") == "retention"
    ]
    return min(found, default=None)


def _period(entry: Mapping[str, Any], where: str) -> int:
    value, unit = entry.get("value"), str(entry.get("unit") or "").lower()
    known = _SPELLED.get(unit, unit.removesuffix("s"))
    number = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    if not number or known not in _UNITS:
        raise DeclarationError(
            f"retention is {value!r} {entry.get('unit')!r}, which is no period",
            where=f"{where}: slaProperties" if where else "slaProperties",
            fix="as in {property: retention, value: 3, unit: y}; units: " + ", ".join(_UNITS),
        )
    return int(float(str(value)) * _UNITS[known])


def retention_of(
    name: str, periods: Mapping[str, int | None], first_t: int | None, cutoff: int
) -> dict[str, Any]:
    """What the manifest says: `{"until_us", "because"}`; empty if no source limits it.

    Args:
        name: of the dataset.
        periods: table -> microseconds its rows may be kept, or None.
        first_t: the earliest prediction time in the release, microseconds UTC; None without rows.
        cutoff: the moment the release looks back from.

    Raises:
        DeclarationError: the oldest rows were past it at the cutoff already.
    """
    limits = {table: period for table, period in periods.items() if period is not None}
    if not limits or first_t is None:
        return {}
    table = min(limits, key=lambda limit: (limits[limit], limit))
    until = first_t + limits[table]
    because = f"{table} may be kept for {_days(limits[table])}, and the oldest row is of "
    if until <= cutoff:
        raise DeclarationError(
            f"{name} would hold rows that may be kept no longer: {because}{iso(first_t)}",
            where=f"contract of {table}, slaProperties: retention",
            fix=f"begin the spine after {iso(cutoff - limits[table])}, or agree a longer retention",
        )
    return {"until_us": until, "because": because + iso(first_t)}


def is_expired(retention: Mapping[str, Any], now: int) -> bool:
    """`retention` as in a manifest; `now` in microseconds UTC."""
    until = retention.get("until_us")
    return until is not None and now >= until


def told(retention: Mapping[str, Any]) -> str:
    """For people: until when, and why; "" if nothing limits it."""
    if not retention:
        return ""
    return f"to be kept until {iso(retention['until_us'])}: {retention['because']}"


def _days(us: int) -> str:
    return f"{us // DAY:,} days" if us >= DAY else f"{us // HOUR} hours"
