"""Muted checks: they run and are reported, but decide nothing until a date.

A mute of a suite's check puts it in shadow. Other findings (of the detectors of
semantic changes, or the share of quarantined rows) are put in shadow afterwards. A crash stays an
error: a mute covers only the findings of a check.
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
    """Mutes in force: `checks` is, by id of a muted check, who muted it, until when and why.

    `actions` are the ids of their entries in the audit trail.
    """

    checks: Mapping[str, str] = field(default_factory=dict, hash=False)
    actions: tuple[int, ...] = ()

    @property
    def ids(self) -> str:
        """Return `actions` as JSON."""
        return json.dumps(list(self.actions))

    def suite(self, suite: Suite) -> Suite:
        """Return the suite with its muted checks in shadow."""
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
        """Return the judgement with further findings of muted checks in shadow.

        Crashes of muted checks leave the shadow again.
        """
        results = tuple(self._of(result) for result in judgement.results)
        if results == judgement.results:
            return judgement
        gravest = max((r.verdict for r in results), key=lambda v: v.gravity, default=Verdict.PASS)
        return replace(judgement, results=results, verdict=gravest)

    def forced(self, judgement: Judgement) -> bool:
        """Return True if, without these mutes, nothing of the batch would be published."""
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
