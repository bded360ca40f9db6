"""Detectors for missing parts of a partition: a cut-off end, or missing hours in the middle."""

from collections.abc import Iterator, Mapping

import numpy as np

from headrace.contracts.drift.baseline import Baseline, HourProfile, hours_of
from headrace.contracts.drift.batch_view import HOUR, BatchView, Floats
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import LEAST_BATCHES, time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase
from headrace.contracts.drift.statistics import surprise
from headrace.core.clock import parse_iso
from headrace.core.time_zones import to_local

_FEWEST = 0.2  # an hour is low if it has less than this share of its usual minimum
_HOURS = 4  # least number of hours with rows in nearly every batch, for a finding
_REGULAR = 0.6  # hours are always full if their minimum is at least this share of their mean
_UNLIKELY = 13.1  # expected rows whose absence is not chance: exp(-13.1) is two in a million
_ELSEWHERE = 0.5  # share of the usual rows that lie between the hours without rows
_FORTNIGHT = 14  # latest batches, whose median is the usual number of rows
_FEWER_ROWS = 0.75  # a batch with an early end has at most this share of the usual rows
_EARLY = 2.0  # surprise of the last event from which the end of a batch is early
_FEW = 3  # least missing rows for a finding
_BLOCK = 0.06  # least share of a usual batch's rows that must be missing
_FEWER = 1.3  # surprise of the number of rows from which a batch of irregular size is too small
_SMALL = 0.6  # a batch is too small below this share of the window's smallest batch


def missing_parts(case: DriftCase) -> Iterator[DriftFinding]:
    look, reference = case.look, case.reference
    if look.start is None or reference.batches < LEAST_BATCHES or _is_at_coverage_end(case):
        return
    for what, moments in (("event", look.event), ("known", look.known_at)):
        if moments is not None:
            finding = _find_missing_hours(case, what, moments, look.start)
            if finding is not None:
                yield finding
                return
    yield from _find_early_end(case) or _find_small_batch(case)


def _is_at_coverage_end(case: DriftCase) -> bool:
    """Return True for the first and last covered partitions, which may be incomplete."""
    coverage = case.look.contract.coverage
    return coverage is not None and any(parse_iso(day) == case.look.start for day in coverage)


def _find_missing_hours(
    case: DriftCase, what: str, moments: Floats, start: int
) -> DriftFinding | None:
    """Find the run of hours in which the most rows are missing.

    If the zone's UTC offset changed within the window, the rows may follow UTC or local time. The
    first half of the partition, which even a truncated file has, shows which one to compare with.
    """
    usual = case.reference.hours(what)
    finding = _largest_gap(case, what, moments, start, usual)
    shifted_window = None if finding is None else moved_window(case.look, case.reference, what)
    if shifted_window is None:
        return finding
    hours = np.floor((moments - start) / HOUR)
    other = hours_of(shifted_window)
    if _unlike_first_half(hours, other) >= _unlike_first_half(hours, usual):
        return finding
    return _largest_gap(case, what, moments, start, other)


def _unlike_first_half(hours: Floats, usual: HourProfile) -> float:
    """Return by how many rows the hours of the batch's first half differ from their means."""
    first = [hour for hour in sorted(usual.mean) if hour <= float(np.nanmedian(hours))]
    return sum(abs(float((hours == hour).sum()) - usual.mean[hour]) for hour in first)


def _largest_gap(
    case: DriftCase, what: str, moments: Floats, start: int, usual: HourProfile
) -> DriftFinding | None:
    minimum, typical = usual.minimum, usual.mean
    if len(minimum) < _HOURS:
        return None
    hours = np.floor((moments - start) / HOUR)
    counts = {hour: int((hours == hour).sum()) for hour in minimum}
    low = [hour for hour in sorted(minimum) if counts[hour] < _FEWEST * minimum[hour]]
    runs = _runs(low, sorted(typical))
    if not runs:
        return None
    run = max(runs, key=lambda r: sum(typical[hour] for hour in r))
    missing = sum(typical[hour] - counts.get(hour, 0) for hour in run)
    rest = [hour for hour in typical if hour > run[-1]]
    beside = int(((hours >= run[0]) & (hours <= run[-1])).sum())
    if beside > _ELSEWHERE * sum(typical[hour] for hour in run):
        return None  # rows at other hours, such as after a change of the clocks
    at_end = not any(((hours == hour).any()) for hour in rest)
    if at_end:  # the hour before the run may itself be incomplete
        broken_off = run[0] - 1
        part = typical.get(broken_off, 0.0) - float((hours == broken_off).sum())
        missing += sum(typical[hour] for hour in rest) + max(part, 0.0)
    little = missing < max(_BLOCK * sum(typical.values()), _FEW)
    if little or not _is_sure(run, usual, len(moments)):
        return None
    first, last = run[0], run[-1] + 1
    kind = "truncation" if at_end else "missing_hours"
    words = "its end is cut off" if at_end else "hours are missing"
    sentence = (
        f"{words}: between hour {first} and hour {last} of the slot, by {what} time, there are"
        f" {sum(counts.get(hour, 0) for hour in run)} rows where the"
        f" {case.reference.batches} batches before had {sum(typical[h] for h in run):.0f} on"
        " average."
    )
    evidence = {"first_hour": first, "last_hour": last, "lost": round(missing, 1), "by": what}
    return DriftFinding(kind, (), sentence[0].upper() + sentence[1:], evidence, weight=missing)


def _is_sure(run: list[int], usual: HourProfile, rows: int) -> bool:
    """Return True if chance cannot explain so few rows.

    Either these hours are always full, or so many rows are expected that random (Poisson) arrivals
    would leave the hours empty in fewer than two of a million cases.
    """
    mean = sum(usual.mean[hour] for hour in run)
    full = sum(usual.minimum[hour] for hour in run) >= _REGULAR * mean
    expected = mean * min(1.0, rows / sum(usual.mean.values()))
    return full or expected >= _UNLIKELY


def moved_window(look: BatchView, reference: Baseline, what: str) -> list[Mapping[int, int]] | None:
    """Return the window's rows by hour, shifted by the change of the zone's UTC offset since then.

    None if the offset never changed, or if the rows' hours do not depend on it.
    """
    zone = next((f.zone for f in look.contract.delivered if f.zone and "/" in f.zone), None)
    by_moment = any(look.contract.field(n).type == "timestamp" for n in time_inputs(look))
    if zone is None or look.start is None or by_moment or look.contract.slot_zone:
        return None
    now = offset(zone, look.start)
    by = [(offset(zone, parse_iso(p.slot)) - now) // HOUR for p in reference.window]
    if not any(by):
        return None
    return [
        {hour + hours: count for hour, count in p.hours.get(what, {}).items()}
        for p, hours in zip(reference.window, by, strict=True)
    ]


def offset(zone: str, start: int) -> int:
    """Return the zone's UTC offset at noon of that day, in microseconds."""
    noon = np.array([start + 12 * HOUR], np.int64)
    return int((to_local(noon, zone) - noon)[0])


def _runs(hours: list[int], order: list[int]) -> list[list[int]]:
    """Group `hours` into runs of neighbours; `order` lists all hours that ever have rows."""
    place = {hour: at for at, hour in enumerate(order)}
    runs: list[list[int]] = []
    for hour in hours:
        if runs and place[hour] - place[runs[-1][-1]] == 1:
            runs[-1].append(hour)
        else:
            runs.append([hour])
    return runs


def _find_early_end(case: DriftCase) -> list[DriftFinding]:
    """Find a batch of fewer rows than usual whose last event is far earlier than usual."""
    past = case.reference.marks("end:")
    end, sizes = case.statistics.get("end:"), case.reference.marks("rows:")
    if end is None or not len(past) or end >= past.min():
        return []
    usual = float(np.median(sizes[-_FORTNIGHT:]))
    if case.look.rows > _FEWER_ROWS * usual or surprise("end", past, end, case.look.rows) < _EARLY:
        return []
    sentence = (
        f"Its end is cut off: the last event is {end:.1f} hours after the start of the partition;"
        f" in the {len(past)} batches before it was at least {past.min():.1f}. There are"
        f" {case.look.rows} rows instead of about {usual:.0f}."
    )
    evidence = {"last_hour": end, "least": float(past.min()), "rows": case.look.rows}
    return [DriftFinding("truncation", (), sentence, evidence, weight=usual - case.look.rows)]


def _find_small_batch(case: DriftCase) -> Iterator[DriftFinding]:
    """Report a batch much smaller than all in the window, if their sizes are similar."""
    rows = case.look.rows
    sizes = np.array([profile.rows for profile in case.reference.window])
    is_regular = sizes.min() > 0.7 * np.median(sizes)
    score = surprise("rows", case.reference.marks("rows:"), float(rows), rows)
    if rows < _SMALL * sizes.min() and (is_regular or score >= _FEWER):
        sentence = (
            f"{rows} rows are fewer than the {len(sizes)} batches before had, which lie between"
            f" {sizes.min()} and {sizes.max()}."
        )
        evidence = {"rows": rows, "least": int(sizes.min())}
        yield DriftFinding("truncation", (), sentence, evidence, weight=float(sizes.min() - rows))
