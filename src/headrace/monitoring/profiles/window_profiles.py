"""Profiles of windows, with bins and terms that are frozen until a person accepts a column."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from headrace.monitoring.detectors.column_relations import Term
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.bins import frozen_again
from headrace.monitoring.profiles.profiles import Daily, Profiles
from headrace.monitoring.profiles.row_facts import RowFacts, terms_for


@dataclass(frozen=True, eq=False)
class ProfileSource:
    """Source of window profiles: the sketches of all days, and access to the rows.

    `facts` returns the row facts of the given windows for the given terms.
    """

    daily: Daily
    facts: Callable[[Sequence[Window], Sequence[Term]], Sequence[RowFacts]]


@dataclass(frozen=True, eq=False)
class Described:
    """Profiles of all days, the terms that code their columns, and each window's row facts."""

    profiles: Profiles
    terms: tuple[Term, ...]
    facts: Sequence[RowFacts]

    def renewed(
        self, laid: Sequence[Window], at: int, columns: Collection[str], source: ProfileSource
    ) -> "Described":
        """Return a copy with new bins for `columns`, computed from window number `at`.

        After a change of unit, all values may fall into a single old bin, which would hide later
        shifts. The facts of earlier windows stay the same, because these windows are no longer a
        baseline for `columns`.
        """
        daily, window = source.daily, laid[at]
        old = self.profiles.whole.bins
        days = daily.roll(window.first, window.end, [b.column for b in old if b.column in columns])
        bins = [
            frozen_again(column_bins, days[column_bins.column], window.end)
            if column_bins.column in days
            else column_bins
            for column_bins in old
        ]
        profiles = daily.binned(bins)
        terms = terms_for(profiles)
        facts = self.facts if terms == self.terms else [
            *self.facts[:at], *source.facts(laid[at:], terms)
        ]  # fmt: skip
        return Described(profiles, terms, facts)
