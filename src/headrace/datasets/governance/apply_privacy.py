"""Governance of a training set before its release: privacy treatments and retention."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.contracts.model import Contract
from headrace.datasets.governance.privacy import treat
from headrace.datasets.governance.retention import retention_of, retention_us
from headrace.datasets.spec import DatasetSpec


def treated(
    spec: DatasetSpec, frame: pa.Table, classes: Mapping[str, str]
) -> tuple[pa.Table, dict[str, dict[str, str]]]:
    """Apply the declared treatments to `frame`; return it and the manifest's `privacy` entry.

    `classes` is column -> privacy class, as `headrace.datasets.governance.privacy_classes` derives
    it. Raises DeclarationError and StateError as `headrace.datasets.governance.privacy.treat` does.
    """
    fixed = {"t", "label_reason", *spec.label.columns}
    outcome = treat(spec.name, frame, spec.privacy, classes, fixed=fixed, needed=spec.key)
    return outcome.frame, outcome.privacy


def kept_until(
    spec: DatasetSpec, frame: pa.Table, contracts: Mapping[str, Contract]
) -> dict[str, Any]:
    """`retention` entry for the manifest, from the shortest period that the contracts declare."""
    periods = {
        name: retention_us(contract.document, str(contract.path))
        for name, contract in contracts.items()
    }
    first = pc.min(frame.column("t").cast(pa.int64())).as_py()
    return retention_of(spec.name, periods, first, spec.cutoff_us)
