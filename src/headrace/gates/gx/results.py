"""Export of a judgement as a Great Expectations 1.24 validation result in JSON.

It has the form of `ExpectationSuiteValidationResult.to_json_dict()`, so that tools for those
documents can read it. Checks of the contract and of semantic change are included under their own
names; without them the document could report success for a blocked batch. Checks in shadow mode are
excluded, since they do not affect the verdict.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from headrace.core.errors import DeclarationError
from headrace.core.files import canonical_json
from headrace.gates.contract_units import converted, to_contract
from headrace.gates.suite import Expectation, Suite
from headrace.gates.verdict import Judgement, Result

GX = "1.24.1"  # Great Expectations version whose document format is written
SAMPLE = 20  # number of unexpected values listed, as in Great Expectations

Document = dict[str, Any]


def gx_document(
    judgement: Judgement,
    suite: Suite | None,
    batch: Mapping[str, Any],
    keys: Sequence[str] = (),
    scales: Mapping[str, int] | None = None,
) -> Document:
    """Return the document of one batch.

    Args:
        judgement: the recorded judgement.
        suite: the table's suite; its kwargs are included if the judgement was made with it.
        batch: mapping with table, slot (the partition), batch (its id) and origin.
        keys: columns that identify a row, for the index lists.
        scales: decimal digits of scaled columns, for limits in the contract's units.
    """
    scales = scales or {}
    judgement = judgement.readable(scales)
    suite_matches = suite is not None and suite.hash == judgement.suite_hash
    declared = (
        {e.id: _kwargs(e, scales) for e in suite.expectations} if suite and suite_matches else {}
    )
    where = f"{batch['table']}-{batch['slot']}"
    results = [_result(r, declared.get(r.id), where, keys) for r in judgement.counted]
    passed = sum(bool(result["success"]) for result in results)
    name = f"{batch['batch']}/{judgement.suite_hash}/{judgement.contract_hash}"
    return {
        "success": passed == len(results),
        "results": results,
        "suite_name": judgement.suite,
        "suite_parameters": {},
        "statistics": {
            "evaluated_expectations": len(results),
            "successful_expectations": passed,
            "unsuccessful_expectations": len(results) - passed,
            "success_percent": 100 * passed / len(results) if results else None,
        },
        "meta": _meta(judgement, batch),
        "id": str(uuid5(NAMESPACE_URL, f"headrace:{name}")),
    }


def _meta(judgement: Judgement, batch: Mapping[str, Any]) -> Document:
    return {
        "great_expectations_version": GX,
        "active_batch_definition": {
            "datasource_name": "headrace",
            "data_connector_name": "fluent",
            "data_asset_name": batch["table"],
            "batch_identifiers": {"slot": batch["slot"], "batch": batch["batch"]},
        },
        "headrace": {
            "verdict": judgement.verdict.value,
            "origin": batch["origin"],
            "suite_hash": judgement.suite_hash,
            "contract_hash": judgement.contract_hash,
            "delivered": judgement.delivered,
            "conformed": judgement.conformed,
            "quarantined": judgement.quarantined_count,
            "violations": judgement.violation_count,
        },
    }


def _kwargs(expectation: Expectation, scales: Mapping[str, int]) -> Document:
    """Return the kwargs of a check in the contract's units."""
    try:
        return dict(converted(expectation.type, expectation.kwargs, scales, to_contract))
    except DeclarationError:  # columns of different scales are compared as they are stored
        return dict(expectation.kwargs)


def _result(result: Result, declared: Document | None, where: str, keys: Sequence[str]) -> Document:
    kwargs = _columns(result) if declared is None else declared
    meta: Document = {"id": result.id, "action": result.action, "kind": result.kind}
    if declared is None and result.kind == "expectation":
        meta["kwargs"] = f"the suite has changed since; it expected: {result.expected}"
    crashed = result.status == "error"
    return {
        "success": result.status == "pass",
        "expectation_config": {
            "type": result.type if _is_theirs(result) else f"headrace_{result.type}",
            "kwargs": {"batch_id": where, **kwargs},
            "meta": meta,
            "severity": result.severity,
        },
        "result": {} if crashed else _result_fields(result, keys),
        "meta": {"reason": result.reason} if result.reason else {},
        "exception_info": {
            "raised_exception": crashed,
            "exception_message": result.reason if crashed else None,
            "exception_traceback": result.reason if crashed else None,
        },
    }


def _is_theirs(result: Result) -> bool:
    return result.type.startswith("expect_")


def _columns(result: Result) -> Document:
    """Rebuild the column kwargs of a check whose declaration is not known any more."""
    if not _is_theirs(result):
        return {"columns": list(result.columns)}
    if "compound" in result.type or "multicolumn" in result.type or len(result.columns) > 2:
        return {"column_list": list(result.columns)}
    if len(result.columns) == 2:
        return {"column_A": result.columns[0], "column_B": result.columns[1]}
    return {"column": result.columns[0]} if result.columns else {}


def _result_fields(result: Result, keys: Sequence[str]) -> Document:
    if result.element_count is None:
        return _observed(result)
    elements, missing = result.element_count, result.missing_count or 0
    unexpected = result.unexpected_count or 0
    values = [_value(sample, result.columns) for sample in result.sample[:SAMPLE]]
    share = _percent(unexpected, elements - missing)
    return {
        "element_count": elements,
        "unexpected_count": unexpected,
        "unexpected_percent": share,
        "partial_unexpected_list": values,
        "unexpected_index_column_names": list(keys),
        "missing_count": missing,
        "missing_percent": _percent(missing, elements),
        "unexpected_percent_total": _percent(unexpected, elements),
        "unexpected_percent_nonmissing": share,
        "partial_unexpected_counts": _counts(values),
        "partial_unexpected_index_list": [_index(s) for s in result.sample[:SAMPLE]],
    }


def _observed(result: Result) -> Document:
    document: Document = {"observed_value": result.observed}
    if result.unexpected_count is not None:
        document["unexpected_count"] = result.unexpected_count
    return document


def _percent(part: int, total: int) -> float | None:
    return 100 * part / total if total else None


def _value(sample: Mapping[str, Any], columns: Sequence[str]) -> Any:  # noqa: ANN401 - JSON values
    """Return the sampled value of the check's column; a list if it has several columns."""
    if "got" in sample:
        return sample["got"]
    cells = {**sample.get("key", {}), **sample.get("values", {})}
    values = [cells.get(name) for name in columns]
    return values[0] if len(values) == 1 else values


def _index(sample: Mapping[str, Any]) -> Document:
    """Return the key and values of a sampled row, in the form of Great Expectations."""
    if "got" in sample:
        return {"line": sample.get("line"), "field": sample.get("field")}
    return {**sample.get("key", {}), **sample.get("values", {})}


def _counts(values: Sequence[Any]) -> list[Document]:
    """Count the sampled values; the most frequent come first."""
    originals = {canonical_json(value): value for value in values}
    counted = Counter(canonical_json(value) for value in values)
    return [{"value": originals[key], "count": count} for key, count in counted.most_common()]
