"""Muted checks: until a date, they run and are reported but do not affect the verdict.

A muted check of a suite runs in shadow mode. Results of other muted checks (semantic changes, the
share of quarantined rows) are put in shadow mode after the batch is validated. If a muted check
crashes, the result is still an error.
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
    """Mutes in force.

    `checks` maps the id of a muted check to a text: who muted it, until when and why. `actions` are
    the ids of the mutes in the audit trail.
    """

    checks: Mapping[str, str] = field(default_factory=dict, hash=False)
    actions: tuple[int, ...] = ()

    @property
    def ids(self) -> str:
        """Return `actions` as a JSON list."""
        return json.dumps(list(self.actions))

    def suite(self, suite: Suite) -> Suite:
        """Put the suite's muted checks in shadow mode."""
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
        """Put failed results of muted checks in shadow mode, and recompute the verdict.

        Results of muted checks that crashed leave shadow mode, so that the verdict is ERROR.
        """
        results = tuple(self._of(result) for result in judgement.results)
        if results == judgement.results:
            return judgement
        worst = max((r.verdict for r in results), key=lambda v: v.gravity, default=Verdict.PASS)
        return replace(judgement, results=results, verdict=worst)

    def forced(self, judgement: Judgement) -> bool:
        """Return True if the batch is published only because of these mutes."""
        if not self.checks or not judgement.verdict.publishes:
            return False
        return any(not r.would.publishes for r in judgement.results if r.id in self.checks)

    def _of(self, result: Result) -> Result:
        if result.id not in self.checks:
            return result
        if result.status == "error":
            return replace(result, shadow=False)
        if result.status == "fail" and not result.shadow:
            return replace(result, shadow=True, note=self._note(result.id, result.note))
        return result

    def _note(self, check: str, before: str) -> str:
        return f"{self.checks[check]}; {before}" if before else self.checks[check]


NO_MUTES = Mutes()


def mutable(suite: Suite, check: str) -> None:
    """Raise DeclarationError if the check does not exist or cannot be muted."""
    if check.startswith(("contract:", "invariant:")):
        raise DeclarationError(
            f"{check} is part of the contract and cannot be muted",
            fix="approve the batch or its rows, or change the contract",
        )
    ids = [SHARE, *(e.id for e in suite.expectations)]
    if check not in ids and not check.startswith(SEMANTIC):
        raise DeclarationError(
            f"no check {check!r} in suite {suite.name}",
            fix=f"one of {', '.join(ids)}, or a finding such as {SEMANTIC}:...",
        )
