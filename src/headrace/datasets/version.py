"""Version of the next release and its reasons: a pure function of two manifests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.datasets.manifest import Manifest

FIRST = "1.0.0"
UNCHANGED = "content, definitions and metadata are the same"
_ROLLING = (
    "train_until_us",
    "valid_until_us",
    "test_until_us",
    "after_us",
    "until_us",
    "evaluation_after_us",
    "evaluation_until_us",
)
# Metadata whose change makes a PATCH version. Coverage (derived from the current tables) and
# lineage (derived from the definitions) do not make a version on their own.
_METADATA = (
    "purpose",
    "description",
    "licences",
    "parameters",
    "fits",
    "pipeline",
    "live_since_us",
    "privacy",
    "retention",
    "erasures",
    "terms",
    "card",
    "withheld",
)


@dataclass(frozen=True)
class NextVersion:
    """The next version: `change` is FIRST, MAJOR, MINOR, PATCH, or NONE when nothing changed."""

    version: str
    change: str
    reasons: tuple[str, ...]


def next_version(
    previous: Manifest | None, candidate: Manifest, *, new_reasons: tuple[str, ...] = ()
) -> NextVersion:
    """Return the version that follows `previous`, and the reasons.

    MAJOR: the meaning changed, or a column, definition or table was removed. MINOR: rows, split
    bounds or a contract's minor version changed, or a column, definition or table was added.
    PATCH: only metadata changed.

    The same content from the same definitions keeps its version, even if snapshot ids, batch lists,
    cutoff or code revision differ. With `new_reasons`, such as a recalled input, it gets a
    PATCH version.
    """
    if previous is None:
        return NextVersion(FIRST, "FIRST", ("first release",))
    for change, rules in (("MAJOR", _MAJOR), ("MINOR", _MINOR), ("PATCH", _PATCH)):
        reasons = tuple(reason for rule in rules for reason in rule(previous, candidate))
        if reasons:
            return NextVersion(bumped(previous.version, change), change, reasons)
    if new_reasons:
        return NextVersion(bumped(previous.version, "PATCH"), "PATCH", new_reasons)
    return NextVersion(previous.version, "NONE", (UNCHANGED,))


def parse_version(text: str) -> tuple[int, int, int]:
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


def bumped(version: str, change: str) -> str:
    major, minor, patch = parse_version(version)
    if change == "MAJOR":
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if change == "MINOR" else f"{major}.{minor}.{patch + 1}"


def unused(version: str, change: str, removed: Sequence[str]) -> str:
    """Return `version`, or the version after the last removed release if that is later.

    The version of a removed release is never used again.
    """
    last = max(removed, key=parse_version, default="0.0.0")
    if parse_version(version) > parse_version(last):
        return version
    return bumped(last, change if change in ("MAJOR", "MINOR", "PATCH") else "MINOR")


Rule = Callable[[Manifest, Manifest], Iterator[str]]


def _changed(
    before: Mapping[str, Any], after: Mapping[str, Any], what: str, *, removed_text: str = "gone"
) -> Iterator[str]:
    for name in sorted(before):
        if name not in after:
            yield f"{what} {name}: {removed_text}"
        elif before[name] != after[name]:
            yield f"{what} {name}: changed"


def _definitions(before: Manifest, after: Manifest) -> Iterator[str]:
    yield from _changed(before.definitions, after.definitions, "definition of")


def _columns(before: Manifest, after: Manifest) -> Iterator[str]:
    old = {column.name: (column.type, column.role) for column in before.columns}
    new = {column.name: (column.type, column.role) for column in after.columns}
    yield from _changed(old, new, "column")


def _label(before: Manifest, after: Manifest) -> Iterator[str]:
    if before.label["hash"] != after.label["hash"]:
        yield f"label {after.label['name']}: changed"


def _split_rule(before: Manifest, after: Manifest) -> Iterator[str]:
    old, new = (_kept_rule(manifest, before, after) for manifest in (before, after))
    yield from _changed(old, new, "split rule")
    yield from _new(old, new, "split rule")


def _kept_rule(manifest: Manifest, before: Manifest, after: Manifest) -> dict[str, Any]:
    rolled = set(_rolling(before, after))
    return {name: value for name, value in manifest.split_rule.items() if name not in rolled}


def _rolling(before: Manifest, after: Manifest) -> list[str]:
    """Return the bounds that the split rules of both releases set.

    Moving such a bound keeps the split rule; setting or removing a bound changes it.
    """
    rules = (before.split_rule, after.split_rule)
    return [name for name in _ROLLING if all(rule.get(name) is not None for rule in rules)]


def _mode(before: Manifest, after: Manifest) -> Iterator[str]:
    if before.mode != after.mode:
        yield f"availability mode: {before.mode} became {after.mode}"


def _contract_meaning(before: Manifest, after: Manifest) -> Iterator[str]:
    """Contracts with a new major version, or with changed content under the same version."""
    for table, old in sorted(before.inputs.items()):
        new = after.inputs.get(table)
        if new is None:
            yield f"table {table}: no longer an input"
        elif parse_version(old.contract_version)[0] != parse_version(new.contract_version)[0]:
            yield f"contract of {table}: {old.contract_version} became {new.contract_version}"
        elif old.contract_version == new.contract_version and (
            old.contract_hash != new.contract_hash
        ):
            yield f"contract of {table}: changed without a new version"


def _treatments(before: Manifest, after: Manifest) -> Iterator[str]:
    """Changed privacy treatments, or pseudonyms made with another key.

    Columns of the two releases can then be neither compared nor joined.
    """
    for column in sorted(set(before.privacy) & set(after.privacy)):
        old, new = before.privacy[column], after.privacy[column]
        if old["treatment"] != new["treatment"]:
            yield f"privacy of {column}: {old['treatment']} became {new['treatment']}"
        elif any(old.get(fact) != new.get(fact) for fact in ("key_id", "step")):
            yield f"privacy of {column}: another key or step"


def _parameters(before: Manifest, after: Manifest) -> Iterator[str]:
    """Changed parameters with changed content: the meaning may have changed as well."""
    if before.content_hash != after.content_hash and before.parameters != after.parameters:
        yield "parameters: changed, and the content with them"


def _rolled(before: Manifest, after: Manifest) -> Iterator[str]:
    for name in _rolling(before, after):
        if before.split_rule[name] != after.split_rule[name]:
            yield f"split bound {name.removesuffix('_us')}: rolled"


def _added(before: Manifest, after: Manifest) -> Iterator[str]:
    yield from _new(before.definitions, after.definitions, "definition of")
    yield from _new(before.inputs, after.inputs, "table")
    old, new = ({column.name: 0 for column in manifest.columns} for manifest in (before, after))
    yield from _new(old, new, "column")


def _new(before: Mapping[str, Any], after: Mapping[str, Any], what: str) -> Iterator[str]:
    for name in sorted(set(after) - set(before)):
        yield f"{what} {name}: new"


def _contract_minor(before: Manifest, after: Manifest) -> Iterator[str]:
    for table, old in sorted(before.inputs.items()):
        new = after.inputs.get(table)
        if new and parse_version(old.contract_version)[1] != parse_version(new.contract_version)[1]:
            yield f"contract of {table}: {old.contract_version} became {new.contract_version}"


def _content(before: Manifest, after: Manifest) -> Iterator[str]:
    if before.content_hash != after.content_hash:
        yield f"content: {before.rows} rows became {after.rows}, or cells among them changed"


def _metadata(before: Manifest, after: Manifest) -> Iterator[str]:
    for name in _METADATA:
        if getattr(before, name) != getattr(after, name):
            yield f"{name}: changed"
    if before.leakage.get("because", "") != after.leakage.get("because", ""):
        yield "leakage that is allowed: changed"
    for table, old in sorted(before.inputs.items()):
        new = after.inputs[table]
        for name in ("contract_version", "owner", "purposes", "overrides"):
            if getattr(old, name) != getattr(new, name):
                yield f"{name} of {table}: changed"


_MAJOR: tuple[Rule, ...] = (
    _contract_meaning,
    _definitions,
    _columns,
    _label,
    _split_rule,
    _mode,
    _treatments,
    _parameters,
)
_MINOR: tuple[Rule, ...] = (_rolled, _added, _contract_minor, _content)
_PATCH: tuple[Rule, ...] = (_metadata,)
