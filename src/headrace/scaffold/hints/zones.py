"""Time zones of local times, from a UTC time in the same rows."""

import re
from collections.abc import Iterator, Sequence

import numpy as np

from headrace.core.sql import ident
from headrace.core.time_zones import to_local, zone_names
from headrace.scaffold.hints.model import ContractHint
from headrace.scaffold.hints.sample import Floats, HintColumn, HintSample
from headrace.scaffold.inspection.column_words import words

_MINUTE, _HOUR = 60_000_000, 3_600_000_000
_STEP = 15 * _MINUTE  # offsets of all zones since 1972 are multiples of a quarter of an hour
_MOST_OFFSET = 14 * _HOUR
_LEAST_ROWS = 30
_MOST_HOURS = 500  # hours in which zones are compared
_QUIET_HOURS = 4
_AWARE = re.compile(r"(Z|[+-]\d{2}:?\d{2})$")
_UTC_WORDS = frozenset({"utc", "gmt", "zulu"})
# Zones that many people live in; of zones with the same clock, the first is suggested.
_USUAL = (
    "Europe/London", "Europe/Berlin", "Europe/Athens", "Europe/Moscow", "America/New_York",
    "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Sao_Paulo", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney",
    "Australia/Brisbane", "Pacific/Auckland",
)  # fmt: skip


def zones(sample: HintSample) -> Iterator[ContractHint]:
    """Yield the zone of each local time with a UTC time beside it, else a question.

    A zone is declared if the clock changed in these deliveries and the zone has the same changes.
    """
    times = {c.name: us for c in sample.columns.values() if (us := _clock(sample, c)) is not None}
    in_utc = [name for name in times if _is_utc(sample.columns[name])]
    for name, local in times.items():
        column = sample.columns[name]
        if name in in_utc or column.field.zone:
            continue
        pairs = (_pair(sample, name, other, local, times[other]) for other in in_utc)
        hint = next((hint for hint in pairs if hint is not None), None)
        if hint is None and sample.contract.slot_zone is None:
            hint = _question(sample, name, local)
        if hint is not None:
            yield hint


def _clock(sample: HintSample, column: HintColumn) -> Floats | None:
    """Return the microseconds of a column of dates with times; None for other columns."""
    if column.field.type not in {"string", "timestamp"} or column.present.sum() < _LEAST_ROWS:
        return None
    name = ident(column.name)
    moment = name if column.field.type == "timestamp" else f"TRY_CAST({name} AS TIMESTAMP)"
    us = sample.integers(f"epoch_us({moment})", [column.name])
    valid = us[~np.isnan(us)]
    if len(valid) < 0.9 * column.present.sum() or not (valid % (24 * _HOUR)).any():
        return None
    return us


def _is_utc(column: HintColumn) -> bool:
    if column.field.type == "timestamp" or _UTC_WORDS & set(words(column.header)):
        return True
    row = int(np.flatnonzero(column.present)[0])
    return _AWARE.search(column.stored[row].as_py()) is not None


def _pair(
    sample: HintSample, name: str, other: str, local: Floats, utc: Floats
) -> ContractHint | None:
    offset = local - utc
    valid = ~np.isnan(offset)
    with np.errstate(invalid="ignore"):
        fits = valid & (np.abs(offset) <= _MOST_OFFSET) & (offset % _STEP == 0)
    if valid.sum() < _LEAST_ROWS or fits.sum() < 0.999 * valid.sum():
        return None
    matching = _zones_with(utc[fits], local[fits])
    offsets = sorted(set((offset[fits] / _MINUTE).tolist()))
    hours = " and ".join(f"{minutes / 60:+g} h" for minutes in offsets[:3])
    reason = f"{name} differs from {other}, which is in UTC, by {hours}"
    if not matching:
        question = f"{reason}: in which zone is it?"
        evidence = sample.evidence(fits, valid)
        return ContractHint("zone", (name, other), "", question, evidence, "low")
    moments = np.where(fits, utc, 0).astype(np.int64)
    agrees = fits & (to_local(moments, matching[0]) == local)
    evidence = sample.evidence(agrees, valid)
    changed = len(offsets) > 1 and evidence.later_share >= 0.999
    clock = "as" if changed else "as, among others,"
    return ContractHint(
        "zone",
        (name, other),
        matching[0],
        f"{reason}, {clock} in {', '.join(matching[:3])}.",
        evidence,
        "high" if changed else "low",
    )


def _zones_with(utc: Floats, local: Floats) -> Sequence[str]:
    """Return the zones in which the UTC times have these local times, the usual ones first."""
    hours = np.unique(utc // _HOUR, return_index=True)[1]
    rows = hours[np.unique(np.linspace(0, len(hours) - 1, _MOST_HOURS).astype(int))]
    moments, clocks = utc[rows].astype(np.int64), local[rows]
    names = [*_USUAL, *sorted(n for n in zone_names() - set(_USUAL) if n.count("/") == 1)]
    return [name for name in names if (to_local(moments, name) == clocks).all()]


def _question(sample: HintSample, name: str, local: Floats) -> ContractHint | None:
    """Return a question about a time without a zone, with its quietest hours."""
    valid = ~np.isnan(local)
    counts = np.bincount((local[valid] // _HOUR % 24).astype(int), minlength=24)
    around = np.concatenate([counts, counts[: _QUIET_HOURS - 1]])
    sums = np.convolve(around, np.ones(_QUIET_HOURS, int), "valid")
    start = int(np.argmin(sums))
    quiet = np.zeros(len(local), bool)
    quiet[valid] = (local[valid] // _HOUR % 24 - start) % 24 < _QUIET_HOURS
    end = (start + _QUIET_HOURS) % 24
    return ContractHint(
        "zone",
        (name,),
        "",
        f"{name} has no time zone: in which is it? Its quietest hours are {start:02d} to {end:02d};"
        " the counts are of the rows in them.",
        sample.evidence(quiet, valid),
        "low",
    )
