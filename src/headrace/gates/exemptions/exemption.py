"""Exemption of findings from the verdict: pure decision over findings, days and decisions."""

from dataclasses import dataclass

from headrace.contracts.drift import DriftFinding
from headrace.gates.exemptions.accepted_findings import AcceptedFinding, Observation
from headrace.gates.exemptions.periods import Days, Season


@dataclass(frozen=True)
class Exemption:
    """Decision of a person by which some findings do not count.

    Attributes:
        action: id of the decision in the audit trail.
        sentence: the decision in words: who, when, until when, why.
        findings: for an acceptance, what was accepted.
        kinds, columns: for a mute, kinds of findings, and columns; a finding must have at least
            one of the columns, if there are any.
        period: for a mute, the days of the batches to which it applies; None for all.
    """

    action: int
    sentence: str
    findings: tuple[AcceptedFinding, ...] = ()
    kinds: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    period: Season | Days | None = None

    def covers(self, observed: Observation, day: str) -> bool:
        """Return True if a finding in the batch of an ISO day does not count."""
        if any(finding.covers(observed) for finding in self.findings):
            return True
        return (
            observed.kind in self.kinds
            and (not self.columns or not {*self.columns}.isdisjoint(observed.columns))
            and (self.period is None or self.period.contains(day))
        )


@dataclass(frozen=True)
class Exemptions:
    """Exemptions in force when the batch of an ISO day was validated, oldest first."""

    day: str = ""
    decisions: tuple[Exemption, ...] = ()

    def of(self, finding: DriftFinding, rows: int) -> Exemption | None:
        """Return the first exemption that covers a finding in a batch with `rows` rows."""
        if not self.decisions:
            return None
        observed = Observation(finding.kind, finding.columns, finding.evidence, rows)
        return next((e for e in self.decisions if e.covers(observed, self.day)), None)


NO_EXEMPTIONS = Exemptions()
