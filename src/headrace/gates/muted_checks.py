"""Muted checks: they run and are told, and decide nothing, until a date.

A mute of a suite's check puts it in shadow. A finding that is no expectation of the suite (of the
detectors of changed meaning, or the share of quarantined rows) is put in shadow after it was made.
What crashes stays an error: a mute is about what a check finds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.core.errors import DeclarationError
from headrace.gates.suite import Suite
from headrace.gates.verdict import Judgement, Result, Verdict

SHARE = "quarantined_share"
SEMANTIC = "semantic"


@dataclass(frozen=True)
class Mutes:
    """`checks`: by id of a muted check, who muted it, until when and why, in a sentence.

    `actions` are the ids of the lines of the audit trail that say so.
    """

    checks: Mapping[str, str] = field(default_factory=dict, hash=False)
    actions: tuple[int, ...] = ()

    @property
    def ids(self) -> str:
        """`actions` as JSON."""
        return json.dumps(list(self.actions))

    def suite(self, suite: Suite) -> Suite:
        """The suite with its muted checks in shadow."""
        if not self.checks:
            return suite
        return replace(
            suite,
            expectations=tuple(
                replace(e, shadow=True, reason=self._note(e.id, e.reason))
                if e.id in self.checks
                else e
                for e in suite.expectations
            ),
        )

    def of(self, judgement: Judgement) -> Judgement:
        """The judgement with findings in shadow that the suite could not put there.

        Crashes of muted checks come out of it again.
        """
        results = tuple(self._of(result) for result in judgement.results)
        if results == judgement.results:
            return judgement
        gravest = max((r.verdict for r in results), key=lambda v: v.gravity, default=Verdict.PASS)
        return replace(judgement, results=results, verdict=gravest)

    def forced(self, judgement: Judgement) -> bool:
        """Whether nothing of the batch would be published if these checks were not muted."""
        if not self.checks or not judgement.verdict.publishes:
            return False
        return any(not r.would.publishes for r in judgement.results if r.id in self.checks)

    def _of(self, one: Result) -> Result:
        if one.id not in self.checks:
            return one
        if one.status == "error":
            return replace(one, shadow=False)
        if one.status == "fail" and not one.shadow:
            return replace(one, shadow=True, note=self._note(one.id, one.note))
        return one

    def _note(self, check: str, before: str) -> str:
        return f"{self.checks[check]}; {before}" if before else self.checks[check]


NO_MUTES = Mutes()


def mutable(suite: Suite, check: str) -> None:
    """Raises DeclarationError if there is no such check, or it is one that nobody can mute."""
    if check.startswith(("contract:", "invariant:")):
        raise DeclarationError(
            f"{check} is part of the contract and cannot be muted",
            fix="release the batch or its rows, or change the contract",
        )
    known = [SHARE, *(e.id for e in suite.expectations)]
    if check not in known and not check.startswith(SEMANTIC):
        raise DeclarationError(
            f"no check {check!r} in suite {suite.name}",
            fix=f"one of {', '.join(known)}, or a finding such as {SEMANTIC}:...",
        )
