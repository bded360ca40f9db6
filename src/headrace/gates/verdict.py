"""Outcome of the gate for a batch: verdict, results, passing and quarantined rows."""

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
    """Verdict, in order of severity; the most severe finding decides."""

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
        """Return True if the passing rows are published; else the batch stays pending."""
        return self.gravity < Verdict.BLOCK.gravity


NOT_CONSIDERED = "not_considered"  # the type of a result that says what nothing was asked of
_FAILED = {
    "note": Verdict.PASS,
    "warn": Verdict.WARN,
    "quarantine": Verdict.QUARANTINE,
    "block": Verdict.BLOCK,
}


@dataclass(frozen=True)
class Result:
    """Result of one check of one batch.

    Attributes:
        kind: contract | invariant | expectation | semantic | override.
        status: pass | fail | error. An error is a check that crashed: not a finding about the data.
        observed: the value found, of a check on a whole column or table.
        unexpected_count: failing rows (failing values, of a distinct-values check).
        sample: up to 20 failing rows: {"line", "key": {..}, "values": {..}}; of a broken contract
            {"line", "field", "expected", "got"}.
        reason: a failed check in words, or what the check died of.
        note: why the check exists, as declared.
        evidence: of a semantic change, the facts of its sentence as JSON values.
        shadow: reported, but decides nothing; `would` is its effect without the shadow.
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

    @property
    def verdict(self) -> Verdict:
        """Return its effect on the batch; in shadow, none."""
        return Verdict.PASS if self.shadow else self.would

    @property
    def would(self) -> Verdict:
        """Return its effect, or the effect without shadow."""
        if self.status == "error":
            return Verdict.ERROR
        return _FAILED[self.action] if self.status == "fail" else Verdict.PASS

    def document(self) -> dict[str, Any]:
        """Return JSON values, without those that equal their default."""
        full = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {f.name: full[f.name] for f in fields(self) if full[f.name] != f.default}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in changed.items()}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Result":
        tuples = {k: tuple(v) for k, v in document.items() if k in {"columns", "sample"}}
        return cls(**{**document, **tuples})


@dataclass(frozen=True)
class Foreseen:
    """Verdict and number of quarantined rows if no check were in shadow."""

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
    """Gate's outcome for one batch.

    Attributes:
        passing: rows that no check quarantined, in the batch's order; with BLOCK and ERROR too, but
            then they stay pending. None when read back from JSON.
        quarantined: the other rows, with `_reasons` (list<string>): the ids of what they failed.
            passing + quarantined = conformed, always. None when read back from JSON.
        violations: the ways in which the batch breaks its contract, as `conform` found them (as
            many as it keeps; `violation_count` counts all).
        foreseen: what it would be if the checks in shadow counted; None if the suite has none.
        delivered: rows delivered; `repeated` of them were exact copies and dropped, `conformed` are
            the rows judged.
        units: of the numbers in results. Those of 0.1.0 are as the table stores them.
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
        """Return True if the batch was delivered in a form that gives no typed rows."""
        return bool(self.violation_count) and not self.conformed

    def also(self, more_results: Iterable[Result]) -> "Judgement":
        """Return the judgement with more results, and the verdict of all of them."""
        results = (*self.results, *more_results)
        worst = max((r.verdict for r in results), key=lambda v: v.gravity, default=Verdict.PASS)
        return replace(self, results=results, verdict=worst)

    def readable(self, scales: Mapping[str, int]) -> "Judgement":
        """Return the judgement in the contract's units; its sentences get a note on their units."""
        if self.units == CONTRACT:
            return self
        results = tuple(_readable(result, scales) for result in self.results)
        return replace(self, results=results, units=CONTRACT)

    @property
    def failed(self) -> tuple[Result, ...]:
        """Return results that count and did not pass, most severe first."""
        return _by_severity(r for r in self.counted if r.status != "pass")

    @property
    def counted(self) -> tuple[Result, ...]:
        """Return the results of all checks that are not in shadow."""
        return tuple(r for r in self.results if not r.shadow and r.type != NOT_CONSIDERED)

    @property
    def notes(self) -> tuple[Result, ...]:
        """Return results that are reported but change no verdict, such as a failed detector."""
        return tuple(r for r in self.results if r.status == "pass" and r.reason and not r.shadow)

    @property
    def shadowed(self) -> tuple[Result, ...]:
        """Return results of checks in shadow that did not pass, most severe first."""
        return _by_severity(r for r in self.results if r.shadow and r.status != "pass")

    def to_json(self) -> str:
        """Return compact canonical JSON of everything but the rows."""
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
        """Return one sentence: the verdict and its most severe reason."""
        failed = self.failed
        total = len(self.counted)
        # A batch that broke its contract had no rows to judge, but was not empty.
        unjudged = self.delivered and not self.conformed
        on = f", none of {self.delivered} rows judged" if unjudged else f" on {self.conformed} rows"
        counted = f"{total} check{'s' * (total != 1)}{on}"
        if not failed:
            return f"{self.verdict}: {counted} passed"
        rest = f" (and {len(failed) - 1} more of {counted})" if len(failed) > 1 else f" ({counted})"
        return f"{self.verdict}: {failed[0].reason}{rest}"

    def markdown(self, limit: int = 20) -> str:
        """Return a short table: failures, most severe first, and the number of passes."""
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
    """Sort by severity; of equals, a finding that names its cause comes first."""
    return tuple(sorted(results, key=lambda r: (-r.would.gravity, r.kind != "semantic")))


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
