"""How windows are described: by bins and terms that are frozen, until a person accepts a column."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from headrace.monitoring.detectors.column_relations import Term
from headrace.monitoring.evidence.model import Window
from headrace.monitoring.profiles.bins import frozen_again
from headrace.monitoring.profiles.profiles import Daily, Profiles
from headrace.monitoring.profiles.row_facts import RowFacts, terms_for


@dataclass(frozen=True, eq=False)
class Source:
    """What windows are described from: the sketches of all days, and their rows.

    `facts` gives those of some windows, by some terms.
    """

    daily: Daily
    facts: Callable[[Sequence[Window], Sequence[Term]], Sequence[RowFacts]]


@dataclass(frozen=True, eq=False)
class Described:
    """Profiles of all days, how their columns are coded, and the facts of each window so coded."""

    profiles: Profiles
    terms: tuple[Term, ...]
    facts: Sequence[RowFacts]

    def renewed(
        self, laid: Sequence[Window], at: int, columns: Collection[str], source: Source
    ) -> "Described":
        """The same with bins of `columns` that are cut from window `at`, where they lie now.

        In the old ones another unit may be a single bin, in which nothing could be seen to move.
        Windows before it are left as they are: they are no reference for these columns any more.
        """
        daily, window = source.daily, laid[at]
        old = self.profiles.whole.bins
        days = daily.roll(window.first, window.end, [b.column for b in old if b.column in columns])
        bins = [
            frozen_again(one, days[one.column], window.end) if one.column in days else one
            for one in old
        ]
        profiles = daily.binned(bins)
        terms = terms_for(profiles)
        facts = self.facts if terms == self.terms else [
            *self.facts[:at], *source.facts(laid[at:], terms)
        ]  # fmt: skip
        return Described(profiles, terms, facts)
