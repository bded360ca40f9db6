"""Detector for shifted times: another time zone, or a missed daylight-saving change."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.contracts.drift.batch_view import HOUR, MINUTES_A_DAY, BatchView, clocks
from headrace.contracts.drift.detectors.coverage import offset
from headrace.contracts.drift.findings import DriftFinding
from headrace.contracts.drift.fit_scores import FitScores, add_hour_marks, badness, time_inputs
from headrace.contracts.drift.hypothesis_trial import DriftCase, HypothesisTrial
from headrace.core.clock import parse_iso

# Least share of misfitting rows for a group of columns to be tried. The second, lower limit is for
# marks of the partition's hours.
_MINIMUM, _MINIMUM_OF_HOURS = 0.3, 0.02
_OF_HOURS = ("inside:", "pace:", "covered:")
_ROWS, _SIZE = 20, 0.9  # least rows, also as a share of the smallest batch of the window
_STRICT = 0.9  # least share of batches with rows in an hour; others are changes of the clocks
_ROWS_OF_HOUR = 50  # least rows for a shift by an hour, where rows come at irregular times
_EVIDENCE = 3.0  # least misfitting rows that a shift must explain
_LEAST_SHARE = 0.04  # least share of misfitting rows that a shift must explain
_HOURS = (1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 8, -8)


def zone_shifts(case: DriftCase) -> Iterator[DriftFinding]:
    sizes = [profile.rows for profile in case.reference.window]
    if case.look.rows < _SIZE * min(sizes, default=0):
        return  # with so few rows, hours are empty for another reason
    if case.look.rows < _ROWS:
        yield from _moments_shifted(case)
        return
    best: tuple[HypothesisTrial, tuple[str, ...], int] | None = None
    for names in _groups(case.look):
        if not _is_suspect(case, names):
            continue
        for hours in _HOURS:
            changed = {name: shifted(case.look, name, -60 * hours) for name in names}
            trial = case.try_out(changed)
            if trial.before < max(_EVIDENCE, _LEAST_SHARE * case.look.rows) or not trial.explains:
                continue
            if not _is_nearer(case, names, hours):
                continue
            if best is None or trial.rank > best[0].rank:
                best = (trial, names, hours)
    if best is not None:
        yield _finding(*best)
    else:
        yield from _moments_shifted(case)


def _moments_shifted(case: DriftCase) -> Iterator[DriftFinding]:
    """Report event times or known-at that keep to their usual hours only once they are shifted.

    They may be derived from texts, which cannot be shifted themselves.
    """
    look = case.look
    for what, moments in (("event", look.event), ("known", look.known_at)):
        if moments is None or look.start is None:
            continue
        before = _hour_misfits(case, what, moments)
        is_strict = _is_strict(case, what)  # then one row at another hour is enough
        if before < (0.5 if is_strict else max(_EVIDENCE, _LEAST_SHARE * look.rows)):
            continue
        if not is_strict and look.rows < _ROWS:
            continue
        names = tuple(sorted(time_inputs(look)))
        after = {
            hours: _hour_misfits(case, what, moments - hours * HOUR)
            for hours in _HOURS
            if _is_nearer(case, names, hours)
        }
        hours = min(after, key=lambda hours: after[hours], default=0)
        if hours and after[hours] == 0:
            trial = HypothesisTrial(before, after[hours], 0, 0)
            yield _finding(trial, names, hours)
            return


def _is_nearer(case: DriftCase, names: tuple[str, ...], hours: int) -> bool:
    """Return True if the distribution over hours is nearer to the past once it is shifted back.

    A shift that only moves a few early rows into usual hours is not accepted, and neither is one of
    an hour after a change of the clocks.
    """
    look = case.look
    if abs(hours) == 1 and (_clocks_changed(case) or _is_irregular(case)):
        return False
    if not time_inputs(look).intersection(names):
        return True
    for what, moments in (("event", look.event), ("known", look.known_at)):
        if moments is None or look.start is None:
            continue
        pace = [
            _hour_scores(case, what, m).marks.get(f"pace:{what}", 0.0)
            for m in (moments, moments - hours * HOUR)
        ]
        if pace[1] <= pace[0]:
            return False
    return True


def _is_irregular(case: DriftCase) -> bool:
    """Return True if too few rows come at irregular times to notice a shift by an hour."""
    return case.look.rows < _ROWS_OF_HOUR and not any(
        _is_strict(case, w) for w in ("event", "known")
    )


def _is_strict(case: DriftCase, what: str) -> bool:
    """Return True if nearly all earlier batches had rows in the same hours, and in no other."""
    shares = [n / case.reference.batches for n in case.reference.hours(what).batches.values()]
    return bool(shares) and all(share >= _STRICT or share <= 1 - _STRICT for share in shares)


def _clocks_changed(case: DriftCase) -> bool:
    """Return True if a zone's UTC offset changed since the third-last batch.

    Without a declared zone, it may be that of Europe or of North America.
    """
    look = case.look
    if look.start is None or not case.reference.window:
        return False
    declared = {f.zone for f in look.contract.delivered if f.zone and "/" in f.zone}
    zones = declared | ({look.contract.slot_zone} if look.contract.slot_zone else set())
    since = [p.slot for p in case.reference.window][-3:][0]
    return any(
        offset(zone, parse_iso(since)) != offset(zone, look.start)
        for zone in zones or {"Europe/Berlin", "America/New_York"}
    )


def _hour_misfits(case: DriftCase, what: str, moments: np.ndarray) -> float:
    """Return the misfits of these moments with the usual hours of the partition, in rows."""
    scores = _hour_scores(case, what, moments)
    return sum(badness(scores, case.reference, case.look.rows).values())


def _hour_scores(case: DriftCase, what: str, moments: np.ndarray) -> FitScores:
    scores = FitScores()
    add_hour_marks(scores, what, moments, case.look.start or 0, case.reference)
    return scores


def _is_suspect(case: DriftCase, names: tuple[str, ...]) -> bool:
    excesses = [v for mark, v in case.excess.items() if mark.startswith(_OF_HOURS)]
    of_hours = max(excesses, default=0.0) if time_inputs(case.look).intersection(names) else 0.0
    rows = case.look.rows
    return bool(of_hours >= _MINIMUM_OF_HOURS * rows > 0) or case.loss(names) >= _MINIMUM * rows


def _groups(look: BatchView) -> list[tuple[str, ...]]:
    """Return the groups to shift: each time column alone, all clocks, all timestamps, and both."""
    clock = [c.name for c in look.columns.values() if c.kind == "clock"]
    moment = [c.name for c in look.columns.values() if c.kind == "moment"]
    groups: list[tuple[str, ...]] = [(name,) for name in (*clock, *moment)]
    groups += [tuple(g) for g in (clock, moment, [*clock, *moment]) if len(g) > 1]
    return list(dict.fromkeys(groups))


def shifted(look: BatchView, name: str, by: int) -> pa.Array:
    """Shift a time column by `by` minutes; a clock time wraps round at midnight."""
    column = look.columns[name]
    if column.kind == "moment":
        array = look.arrays[name]
        shifted_ = np.asarray(array.cast(pa.int64()).fill_null(0)) + by * (HOUR // 60)
        return pa.array(shifted_, mask=~column.present).cast(array.type)
    values = clocks((column.values + by) % MINUTES_A_DAY)
    return pa.array(np.nan_to_num(values).astype(np.int64), mask=~column.present)


def _finding(trial: HypothesisTrial, names: tuple[str, ...], hours: int) -> DriftFinding:
    direction = "late" if hours > 0 else "early"
    sentence = (
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {abs(hours)} h too {direction},"
        f" as in another time zone: moved back, {trial.words}"
    )
    return DriftFinding(
        "zone_shift", names, sentence, {"hours": hours, **trial.evidence}, weight=trial.gain
    )
