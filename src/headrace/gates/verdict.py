"""Outcome of a batch's validation: verdict, results, passing and quarantined rows."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

import pyarrow as pa

from headrace.contracts import Violation
from headrace.core.files import canonical_json
from headrace.gates.contract_units import CONTRACT, STORED, format_stored, has_unit, in_units


class Verdict(StrEnum):
    """Verdict on a batch; members are in order of severity, and the most severe result decides."""

    PASS = "PASS"  # noqa: S105
    WARN = "WARN"
    QUARANTINE = "QUARANTINE"
    BLOCK = "BLOCK"
    ERROR = "ERROR"

    @property
    def gravity(self) -> int:
        return list(Verdict).index(self)

    @property
    def publishes(self) -> bool:
        """True if the passing rows are published; otherwise the batch stays pending."""
        return self.gravity < Verdict.BLOCK.gravity


NOT_CONSIDERED = "not_considered"  # type of a result for data that was not compared
_FAILED = {
    "note": Verdict.PASS,
    "warn": Verdict.WARN,
    "quarantine": Verdict.QUARANTINE,
    "block": Verdict.BLOCK,
}


_TUPLES = frozenset({"columns", "sample", "explains"})  # fields of `Result` that JSON has as lists


@dataclass(frozen=True)
class Result:
    """Result of one check of one batch.

    Attributes:
        kind: contract | invariant | expectation | semantic | override.
        status: pass | fail | error. An error means that the check crashed; it says nothing about
            the data.
        observed: observed value of a check on a whole column or table.
        unexpected_count: number of failing rows; for a distinct-values check, of failing values.
        sample: up to 20 failing rows: {"line", "key": {..}, "values": {..}}; for a violation of
            the contract {"line", "field", "expected", "got"}.
        reason: description of the failure or of the crash.
        note: the declared reason for the check.
        evidence: for a semantic change, the figures in `reason` as JSON values.
        shadow: True if the result is reported without effect on the verdict; `would` is the
            verdict that it would otherwise cause.
        decision: for a result in shadow mode by an acceptance or a mute of findings, the id of that
            decision in the audit trail; `note` has it in words.
        explains: for a semantic change, findings that are not reported because of it:
            {"kind", "columns", "evidence"} each.
    """

    id: str
    kind: str
    type: str
    columns: tuple[str, ...] = ()
    severity: str = "critical"
    action: str = "block"
    status: str = "pass"
    observed: Any = None
    expected: str = ""
    unexpected_count: int | None = None
    missing_count: int | None = None
    element_count: int | None = None
    sample: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    reason: str = ""
    note: str = ""
    shadow: bool = False
    evidence: Mapping[str, Any] | None = field(default=None, hash=False)
    decision: int = 0
    explains: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)

    @property
    def verdict(self) -> Verdict:
        """Verdict that the result causes; PASS if it is in shadow mode."""
        return Verdict.PASS if self.shadow else self.would

    @property
    def would(self) -> Verdict:
        """Verdict that the result causes or, in shadow mode, would cause."""
        if self.status == "error":
            return Verdict.ERROR
        return _FAILED[self.action] if self.status == "fail" else Verdict.PASS

    def document(self) -> dict[str, Any]:
        """Return the fields as JSON values; fields with their default value are omitted."""
        full = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {f.name: full[f.name] for f in fields(self) if full[f.name] != f.default}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in changed.items()}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Result":
        tuples = {k: tuple(v) for k, v in document.items() if k in _TUPLES}
        return cls(**{**document, **tuples})


@dataclass(frozen=True)
class Foreseen:
    """Verdict and number of quarantined rows that would result if no check were in shadow mode."""

    verdict: Verdict
    quarantined_count: int
    shadow_hash: str

    @classmethod
    def of(cls, document: Mapping[str, Any] | None) -> "Foreseen | None":
        if document is None:
            return None
        return cls(**{**document, "verdict": Verdict(document["verdict"])})


@dataclass(frozen=True)
class Judgement:
    """Outcome of the validation of one batch.

    Attributes:
        passing: rows that no check quarantined, in the batch's order. With BLOCK and ERROR they
            are not published. None in a judgement read from JSON.
        quarantined: the other rows; `_reasons` (list<string>) has the ids of their failed checks.
            Together, passing and quarantined rows are always all conformed rows. None in a
            judgement read from JSON.
        violations: violations of the contract that `conform` recorded; it keeps only the first
            ones, `violation_count` counts all.
        foreseen: outcome if the checks in shadow mode counted; None if the suite has none.
        delivered: number of delivered rows. `repeated` of them were exact duplicates and dropped;
            `conformed` is the number of validated rows.
        units: unit of the numbers in results. Version 0.1.0 recorded stored units.
    """

    verdict: Verdict
    results: tuple[Result, ...]
    suite: str = ""
    suite_hash: str = ""
    contract_hash: str = ""
    delivered: int = 0
    conformed: int = 0
    quarantined_count: int = 0
    repeated: int = 0
    violation_count: int = 0
    violations: tuple[Violation, ...] = ()
    foreseen: Foreseen | None = None
    units: str = STORED
    passing: pa.Table = field(default=None, compare=False, repr=False)
    quarantined: pa.Table = field(default=None, compare=False, repr=False)

    @property
    def breaks_contract(self) -> bool:
        """True if the batch breaks its contract so that none of its rows could be read."""
        return bool(self.violation_count) and not self.conformed

    def also(self, more_results: Iterable[Result]) -> "Judgement":
        """Add results and recompute the verdict."""
        results = (*self.results, *more_results)
        worst = max((r.verdict for r in results), key=lambda v: v.gravity, default=Verdict.PASS)
        return replace(self, results=results, verdict=worst)

    def readable(self, scales: Mapping[str, int]) -> "Judgement":
        """Convert observed values and samples to the contract's units.

        Numbers in texts are not converted; a note on their unit is added.
        """
        if self.units == CONTRACT:
            return self
        results = tuple(_readable(result, scales) for result in self.results)
        return replace(self, results=results, units=CONTRACT)

    @property
    def failed(self) -> tuple[Result, ...]:
        """Results that did not pass, most severe first, without those in shadow mode."""
        return _by_severity(r for r in self.counted if r.status != "pass")

    @property
    def counted(self) -> tuple[Result, ...]:
        """Results of all checks that are not in shadow mode."""
        return tuple(r for r in self.results if not r.shadow and r.type != NOT_CONSIDERED)

    @property
    def notes(self) -> tuple[Result, ...]:
        """Results that are reported without effect on the verdict, such as a crashed detector."""
        return tuple(r for r in self.results if r.status == "pass" and r.reason and not r.shadow)

    @property
    def shadowed(self) -> tuple[Result, ...]:
        """Results in shadow mode that did not pass, most severe first."""
        return _by_severity(r for r in self.results if r.shadow and r.status != "pass")

    @property
    def exempted(self) -> tuple[Result, ...]:
        """Findings that do not count by a decision of a person, most severe first."""
        return tuple(r for r in self.shadowed if r.decision)

    def to_json(self) -> str:
        """Return compact canonical JSON of everything except the rows."""
        document = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in {"results", "violations", "foreseen", "passing", "quarantined"}
        }
        if self.foreseen is not None:
            document["foreseen"] = _plain(self.foreseen)
        results = [result.document() for result in self.results]
        return canonical_json(
            {**document, "results": results, "violations": [_plain(v) for v in self.violations]}
        ).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "Judgement":
        document = json.loads(text)
        return cls(
            **{
                **document,
                "verdict": Verdict(document["verdict"]),
                "results": tuple(Result.of(r) for r in document["results"]),
                "violations": tuple(Violation(**v) for v in document["violations"]),
                "foreseen": Foreseen.of(document.get("foreseen")),
            }
        )

    def summary(self) -> str:
        """Return the verdict and the most severe reason as one sentence."""
        failed = self.failed
        total = len(self.counted)
        # If a batch breaks its contract, none of its rows are validated, but it is not empty.
        unjudged = self.delivered and not self.conformed
        on = f", none of {self.delivered} rows judged" if unjudged else f" on {self.conformed} rows"
        counted = f"{total} check{'s' * (total != 1)}{on}"
        if not failed:
            return f"{self.verdict}: {counted} passed{self._exempted()}"
        rest = f" (and {len(failed) - 1} more of {counted})" if len(failed) > 1 else f" ({counted})"
        return f"{self.verdict}: {failed[0].reason}{rest}{self._exempted()}"

    def _exempted(self) -> str:
        """Return the end of a summary: findings that do not count, and the first reason why."""
        exempted = self.exempted
        if not exempted:
            return ""
        count = f"{len(exempted)} finding{'s' * (len(exempted) > 1)}"
        return f"; not counted: {count}, {exempted[0].note}"

    def markdown(self, limit: int = 20) -> str:
        """Return a Markdown table of failed checks, most severe first, and the number that passed.

        At most `limit` failed checks are listed.
        """
        failed = self.failed
        lines = [f"**{self.verdict}** {self._counts()}"]
        if failed:
            lines += ["", "| check | result | why |", "|---|---|---|"]
            lines += [
                f"| {_cell(r.id)} | {r.verdict} | {_cell(r.reason)} |" for r in failed[:limit]
            ]
        if len(failed) > limit:
            lines += ["", f"{len(failed) - limit} more failed."]
        total = len(self.counted)
        lines += ["", f"{total - len(failed)} of {total} checks passed."]
        lines += [line for note in self.notes for line in ("", f"Note: {_cell(note.reason)}")]
        for check in self.exempted:
            lines += ["", f"{_cell(check.id)}, {_cell(check.note)}: {_cell(check.reason)}"]
        lines += self._shadow_lines()
        return "\n".join(lines)

    def _shadow_lines(self) -> list[str]:
        if self.foreseen is None:
            return []
        failed = ", ".join(_cell(r.id) for r in self.shadowed) or "none"
        lines = ["", f"In shadow, without effect: {failed} failed."]
        if self.foreseen.verdict != self.verdict:
            lines += [f"If they counted, the verdict would be **{self.foreseen.verdict}**."]
        return lines

    def _counts(self) -> str:
        parts = [f"{self.conformed} rows"]
        if self.quarantined_count:
            parts.append(f"{self.quarantined_count} quarantined")
        if self.repeated:
            parts.append(f"{self.repeated} exact repetitions dropped")
        if self.violation_count:
            parts.append(f"{self.violation_count} contract violations")
        return ", ".join(parts)


def _readable(result: Result, scales: Mapping[str, int]) -> Result:
    scaled = [name for name in result.columns if scales.get(name)]
    if not scaled or result.kind not in {"expectation", "invariant", "semantic"}:
        return result
    steps = ", ".join(f"{name} in steps of {format_stored(1, scales[name])}" for name in scaled)
    first = scales.get(result.columns[0], 0)
    return replace(
        result,
        observed=in_units(result.observed, first) if has_unit(result.type) else result.observed,
        expected=f"{result.expected} ({steps})" if result.expected else "",
        reason=f"{result.reason} ({steps})" if result.reason else "",
        sample=tuple(_readable_sample(sample, scales) for sample in result.sample),
    )


def _readable_sample(sample: Mapping[str, Any], scales: Mapping[str, int]) -> Mapping[str, Any]:
    def in_contract_units(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: in_units(value, scales.get(name, 0)) for name, value in values.items()}

    return {
        **sample,
        **{part: in_contract_units(sample[part]) for part in ("key", "values") if part in sample},
    }


def _plain(record: Violation | Foreseen) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record)}


def _by_severity(results: Iterable[Result]) -> tuple[Result, ...]:
    """Sort by severity; semantic changes, which name the cause, come first among equals."""
    return tuple(sorted(results, key=lambda r: (-r.would.gravity, r.kind != "semantic")))


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
