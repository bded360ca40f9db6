"""Static checks of a table's suite, which need no batch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headrace.contracts import Contract
from headrace.core.errors import DeclarationError
from headrace.gates.checks.row_condition import condition_columns
from headrace.gates.checks.vocabulary import VOCABULARY
from headrace.gates.contract_units import CONTRACT, converted, scales_of, to_contract
from headrace.gates.gx.fallback import INSTALL
from headrace.gates.suite import Expectation, Fault, Suite
from headrace.gates.suite_reader import fitted


def lint(suite: Suite, contract: Contract) -> dict[str, Any]:
    """Check a suite against the contract of its table; return counts, faults and warnings."""
    suite_ = fitted(suite, contract)
    delegated = [e for e in suite_.expectations if not e.fault and not VOCABULARY[e.type].compiled]
    faults = [*suite_.faults, *(_not_installed(suite_) if delegated else ())]
    return {
        "table": contract.table,
        "suite": suite.name,
        "path": suite.path,
        "checks": len(suite_.expectations),
        "asked": len(delegated),
        "by_level": sum(e.slices is not None for e in suite_.expectations),
        "shadow": sum(e.shadow for e in suite_.expectations),
        "faults": [asdict(fault) for fault in faults],
        "warnings": [asdict(warning) for warning in _units(suite, contract)],
    }


def _units(suite: Suite, contract: Contract) -> list[Fault]:
    """Warn about limits on scaled columns that are written in stored units."""
    scales = scales_of(contract)
    checks = [e for e in suite.expectations if e.fault is None and _scaled(e, scales)]
    if suite.written == CONTRACT or not checks:
        return []
    columns = {name: scales[name] for e in checks for name in _columns(e) if name in scales}
    name, scale = next(iter(columns.items()))
    what = (
        f"limits on {', '.join(columns)} are in stored units: this file writes the value 1 of"
        f" {name} as {10**scale}, but reports show it as 1"
    )
    return [Fault(what, suite.path, f"headrace gate convert-units {contract.table}")]


def _scaled(expectation: Expectation, scales: Mapping[str, int]) -> bool:
    """Return True if a number in the expectation differs between stored and contract units."""
    try:
        contract = converted(expectation.type, expectation.kwargs, scales, to_contract)
    except DeclarationError:  # columns of different scales are compared
        return True
    return contract != expectation.kwargs


def _columns(expectation: Expectation) -> tuple[str, ...]:
    condition = expectation.kwargs.get("row_condition")
    return (*expectation.columns, *(condition_columns(condition) if condition else ()))


def _not_installed(suite: Suite) -> list[Fault]:
    if find_spec("great_expectations") is not None:
        return []
    return [
        Fault("some checks need Great Expectations, which is not installed", suite.path, INSTALL)
    ]


def unread(folder: Path, suites: Sequence[Suite]) -> list[str]:
    """List the suite files below a folder that no table uses."""
    read = {Path(suite.path).resolve() for suite in suites if suite.path}
    return [str(path) for path in sorted(folder.rglob("*.yaml")) if path.resolve() not in read]
