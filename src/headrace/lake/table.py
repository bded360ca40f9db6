"""Declaration of one table of a pipeline: its source, contract and gate."""

from dataclasses import dataclass

from headrace.contracts import Contract
from headrace.core.clock import days
from headrace.gates import Suite
from headrace.sources.base import Source

SNAPSHOT_SLOT = "snapshot"


@dataclass(frozen=True)
class Table:
    """A published table.

    Attributes:
        name: the same as in the contract and the suite.
        source: returns the deliveries of each partition.
        contract: types, keys, times, coverage.
        suite: the gate.
        partitioned: True if partitions are ISO days; otherwise the only one is "snapshot".
    """

    name: str
    source: Source
    contract: Contract
    suite: Suite
    partitioned: bool = True

    def __post_init__(self) -> None:
        # Convert limits to stored units, which hashes and checks use.
        object.__setattr__(self, "suite", self.suite.stored(self.contract))

    def expects(self, slot: str) -> bool:
        """Return True if the contract promises a delivery for this partition."""
        if not self.partitioned:
            return slot == SNAPSHOT_SLOT
        if self.contract.coverage is None:
            return False
        first, last = self.contract.coverage
        return first <= slot <= last

    def expected_slots(self, until: str | None = None) -> list[str]:
        """Return the promised partitions in order, up to and including the ISO day `until`."""
        if not self.partitioned:
            return [SNAPSHOT_SLOT]
        if self.contract.coverage is None:
            return []
        first, last = self.contract.coverage
        last = min(last, until) if until else last
        return days(first, last) if first <= last else []
