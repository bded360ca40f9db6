"""What is wrong in a table's suite, found before any batch is judged by it."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headrace.contracts import Contract
from headrace.gates.fallback import INSTALL
from headrace.gates.reading import fitted
from headrace.gates.suite import Fault, Suite
from headrace.gates.vocabulary import VOCABULARY


def lint(suite: Suite, contract: Contract) -> dict[str, Any]:
    """One suite against the contract of its table.

    Returns:
        table, suite, path; counts of `checks`, of those `asked` of Great Expectations, `by_level`
        and in `shadow`; `faults`, each with what, where and fix.
    """
    held = fitted(suite, contract)
    asked = [e for e in held.expectations if not e.fault and not VOCABULARY[e.type].compiled]
    faults = [*held.faults, *(_not_installed(held) if asked else ())]
    return {
        "table": contract.table,
        "suite": suite.name,
        "path": suite.path,
        "checks": len(held.expectations),
        "asked": len(asked),
        "by_level": sum(e.slices is not None for e in held.expectations),
        "shadow": sum(e.shadow for e in held.expectations),
        "faults": [asdict(fault) for fault in faults],
    }


def _not_installed(suite: Suite) -> list[Fault]:
    if find_spec("great_expectations") is not None:
        return []
    return [Fault("some checks need Great Expectations, which is not here", suite.path, INSTALL)]


def unread(folder: Path, suites: Sequence[Suite]) -> list[str]:
    """Suites below a folder that no table reads: they guard nothing."""
    read = {Path(suite.path).resolve() for suite in suites if suite.path}
    return [str(path) for path in sorted(folder.rglob("*.yaml")) if path.resolve() not in read]
