"""Digest of everything that determines the meaning of a column's values.

Definition hashes of features include these digests, so that they change with the meaning.

The meaning of a derived column also depends on its derivation and on the columns that it is
derived from, so its digest covers the whole path from the delivered columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any

from headrace.contracts.model import Contract, Derivation, Field, Sql, TimeRule, ZoneRule
from headrace.core.files import digest
from headrace.core.time_zones import zones_hash


def column_meanings(contract: Contract) -> dict[str, str]:
    """Return {column: digest of its meaning} for all columns, including hidden ones."""
    digests: dict[str, str] = {}
    for field in contract.columns:
        digests[field.name] = digest(
            _settings(field) | {"from": _inputs(field.derivation, digests)}
        )
    return digests


def meaning_parts(contract: Contract) -> dict[str, dict[str, Any]]:
    """Return {column: hashed parts}, as JSON values.

    The parts are the column's settings in the contract and, under `from`, the digests of the
    columns that it is derived from.
    """
    meanings = column_meanings(contract)
    return {
        field.name: _settings(field) | {"from": _inputs(field.derivation, meanings)}
        for field in contract.columns
    }


def time_parts(contract: Contract) -> dict[str, Any]:
    """Return the SQL expressions of `event_time`, `known_at` and, if declared, `deleted`."""
    deleted = contract.deleted and contract.deleted.expression.expression
    return {
        "event_time": contract.event_time.expression.expression,
        "known_at": contract.known_at.expression.expression,
        **({"deleted": deleted} if deleted else {}),
    }


def time_meaning(contract: Contract) -> str:
    """Return one digest of the rules for event time, known-at and deletions."""
    meanings = column_meanings(contract)
    rules = [contract.event_time, contract.known_at]
    rules += [contract.deleted] if contract.deleted else []
    return digest([_time(rule, meanings) for rule in rules])


def _time(rule: TimeRule, meanings: Mapping[str, str]) -> list[Any]:
    return [rule.expression.expression, _inputs(rule.expression, meanings)]


def _settings(field: Field) -> dict[str, Any]:
    return {
        "type": field.type,
        "unit": field.unit,
        "zone": field.zone,
        "scale": field.scale,
        "form": field.form,
        "round_up": field.round_up,
        "nulls": [list(field.sentinels), list(field.null_tokens)],
        "rule": _rule(field.derivation),
        **({"levels": dict(field.levels)} if field.levels else {}),
    }


def _rule(rule: Derivation | None) -> list[Any] | None:
    if rule is None:
        return None
    if isinstance(rule, Sql):
        return ["sql", rule.expression]
    values = {f.name: getattr(rule, f.name) for f in fields(rule) if f.name != "zone"}
    return [type(rule).__name__, values, _zone(rule.zone)]


def _zone(zone: ZoneRule) -> list[Any]:
    reference = zone.reference.sha if zone.reference else None
    return [zone.name, zone.by, reference, zones_hash(*sorted(zone.zones))]


def _inputs(rule: Derivation | None, meanings: Mapping[str, str]) -> dict[str, str]:
    """Return {column that the rule uses: digest of its meaning}."""
    if rule is None:
        return {}
    texts = rule.inputs if isinstance(rule, Sql) else set(_texts(asdict(rule)))
    return {name: meanings[name] for name in sorted(texts) if name in meanings}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
