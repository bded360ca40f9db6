"""Compatibility of two versions of a contract: the changes, and the version bump they require.

Columns are matched by field id, hidden columns by name. `compare` compares two versions.
`compare_all` compares a candidate with all earlier versions that still have consumers, because
changes that are harmless one by one may together break a consumer who is two versions behind.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any

from headrace.contracts.model import Contract, Derivation, Field, ReferenceTable, Sql
from headrace.core.declarations.strict_yaml import read_document

RULES = Path(__file__).with_name("rules_of_change.yaml")
UNKNOWN = "unknown.changed"
_ASIDE = frozenset(
    {"grain", "owner", "consumers", "licence", "purposes", "privacy", "description", "status",
     "coverage"}
)  # fmt: skip


class Level(IntEnum):
    """Version bump that a change requires."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True)
class ChangeRule:
    """Version bumps that one kind of change requires, for readers and for training.

    `reason` may contain `{before}`, `{after}` and `{item}`.
    """

    reader: Level
    trainer: Level
    reason: str


@cache
def rules() -> Mapping[str, ChangeRule]:
    """Return the rules by id, `aspect.change`."""
    table = read_document(RULES).value
    return {
        name: ChangeRule(Level[reader], Level[trainer], reason)
        for name, (reader, trainer, reason) in table.items()
    }


@dataclass(frozen=True)
class ContractChange:
    """Change between two versions, with the id and the version bumps of the rule for it.

    `field` is the column's new name, or None if the table itself changed.
    """

    field: str | None
    rule: str
    reader: Level
    trainer: Level
    reason: str

    @property
    def level(self) -> Level:
        return max(self.reader, self.trainer)

    def as_json(self) -> dict[str, Any]:
        levels = {"reader": self.reader.name, "trainer": self.trainer.name}
        return {"field": self.field, "rule": self.rule, **levels, "reason": self.reason}


@dataclass(frozen=True)
class ContractComparison:
    """All changes between two versions of one table, most severe first."""

    before: Contract
    after: Contract
    changes: tuple[ContractChange, ...]

    @property
    def level(self) -> Level:
        return max((change.level for change in self.changes), default=Level.NONE)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Return all consumers of the earlier version if the change is MAJOR, otherwise ()."""
        return self.before.consumers if self.level is Level.MAJOR else ()

    @property
    def bumped(self) -> bool:
        """Return True if the version was bumped at least as far as the changes require."""
        return step(self.before.version, self.after.version) >= self.level

    def as_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {
            "table": self.after.table,
            "before": self.before.version,
            "after": self.after.version,
            "level": self.level.name,
            "bumped": self.bumped,
            "breaks": list(self.breaks),
            "changes": [change.as_json() for change in self.changes],
        }


def step(before: str, after: str) -> Level:
    """Return the bump between two versions; NONE if `after` is equal to or lower than `before`."""
    old, new = (tuple(map(int, version.split("."))) for version in (before, after))
    if new <= old:
        return Level.NONE
    if new[0] > old[0]:
        return Level.MAJOR
    return Level.MINOR if new[1] > old[1] else Level.PATCH


def next_version(before: str, level: Level) -> str:
    """Return the version that follows `before` after a change of this level."""
    parts = [int(part) for part in before.split(".")]
    if level is not Level.NONE:
        place = Level.MAJOR - level
        parts = [*parts[:place], parts[place] + 1, *[0] * (2 - place)]
    return ".".join(map(str, parts))


def compare(before: Contract, after: Contract) -> ContractComparison:
    """List every change between two versions, with the rule that applies to it."""
    changes = [*_table_changes(before, after), *_schema_changes(before, after)]
    # If every reported change leaves `meaning_hash` unchanged, a different hash is unexplained.
    if all(_keeps_meaning(change.rule) for change in changes):
        changes += _unexplained_change(before, after, has_changes=bool(changes))
    changes.sort(key=lambda change: -change.level)  # stable sort: keeps order within a level
    return ContractComparison(before, after, tuple(changes))


def compare_all(after: Contract, earlier: Iterable[Contract]) -> tuple[ContractComparison, ...]:
    """Compare the candidate with each earlier version that is not retired and has consumers."""
    return tuple(
        compare(before, after)
        for before in earlier
        if before.consumers and before.status != "retired"
    )


def _change(rule: str, field: str | None = None, **words: object) -> ContractChange:
    table = rules()
    change_rule = table.get(rule, table[UNKNOWN])
    reason = change_rule.reason.format(**{"before": None, "after": None, "item": None} | words)
    return ContractChange(field, rule, change_rule.reader, change_rule.trainer, reason)


def _table_changes(old: Contract, new: Contract) -> Iterator[ContractChange]:
    for aspect in ("table", "kind", "grain", "owner", "licence", "privacy", "description"):
        yield from _plain_change(aspect, getattr(old, aspect), getattr(new, aspect))
    yield from _plain_change("primary_key", ", ".join(old.primary_key), ", ".join(new.primary_key))
    yield from _optional_change("sequence", old.sequence, new.sequence)
    yield from _plain_change("conflicts", old.conflicts, new.conflicts)
    for aspect in ("event_time", "known_at"):
        was, is_ = getattr(old, aspect), getattr(new, aspect)
        yield from _plain_change(aspect, was.expression.expression, is_.expression.expression)
        if was.description != is_.description:
            yield _change(f"{aspect}.words")
    yield from _optional_change("deleted", _deletion_rule(old), _deletion_rule(new))
    if old.deleted and new.deleted and old.deleted.description != new.deleted.description:
        yield _change("deleted.words")
    yield from _item_changes("null_tokens", map(repr, old.null_tokens), map(repr, new.null_tokens))
    yield from _item_changes("consumers", old.consumers, new.consumers)
    yield from _item_changes("purposes", old.purposes, new.purposes)
    yield from _number_change("max_events", old.max_events, new.max_events)
    if old.status != new.status:
        rule = f"status.{new.status}"
        yield _change(rule if rule in rules() else "status.changed", after=new.status)
    yield from _coverage_changes(old.coverage, new.coverage)
    yield from _invariant_changes(old, new)


def _deletion_rule(contract: Contract) -> str | None:
    return None if contract.deleted is None else contract.deleted.expression.expression


def _coverage_changes(
    old: tuple[str, str] | None, new: tuple[str, str] | None
) -> Iterator[ContractChange]:
    if old is None or new is None:
        yield from _optional_change("coverage", old and old[0], new and new[0])
        return
    for words, was, is_ in zip(("starts", "ends"), old, new, strict=True):
        if was != is_:
            later = "later" if is_ > was else "earlier"
            yield _change(f"coverage.{words}_{later}", before=was, after=is_)


def _invariant_changes(old: Contract, new: Contract) -> Iterator[ContractChange]:
    was, is_ = ({invariant.name: invariant for invariant in side.invariants} for side in (old, new))
    yield from _item_changes("invariant", was, is_)
    for name in was.keys() & is_.keys():
        if was[name].expression != is_[name].expression:
            yield _change("invariant.changed", item=name)
        elif was[name].description != is_[name].description:
            yield _change("invariant.words", item=name)


def _schema_changes(old: Contract, new: Contract) -> Iterator[ContractChange]:
    was, is_ = ({_key(field): field for field in side.columns} for side in (old, new))
    names = {field.name: field for field in old.fields}
    renumbered = set()
    for key, field in is_.items():
        if key in was:
            yield from _column_changes(was[key], field)
        elif field.name in names and not field.hidden:
            before = names[field.name]
            renumbered.add(_key(before))
            yield _change("id.changed", field.name, before=before.id, after=field.id)
            yield from _column_changes(before, field)
        else:
            yield _change("hidden.added" if field.hidden else "column.added", field.name)
    for key in was.keys() - is_.keys() - renumbered:
        field = was[key]
        yield _change("hidden.removed" if field.hidden else "column.removed", field.name)
    orders = [[key for key in side if key in was and key in is_] for side in (was, is_)]
    if orders[0] != orders[1]:
        yield _change("order.changed")


def _key(field: Field) -> int | str:
    return field.name if field.id is None else field.id


def _column_changes(old: Field, new: Field) -> Iterator[ContractChange]:
    name = new.name
    if old.name != name:
        kind = "aliased" if old.name in new.aliases else "changed"
        yield _change(f"name.{kind}", name, before=old.name, after=name)
    yield from _plain_change("type", old.type, new.type, name)
    yield from _plain_change("privacy", old.privacy, new.privacy, name)
    yield from _plain_change("description", old.description, new.description, name)
    yield from _plain_change("source_form", old.form, new.form, name)
    yield from _plain_change("rounding", _rounded(old), _rounded(new), name)
    yield from _optional_change("unit", old.unit, new.unit, name)
    yield from _optional_change("zone", old.zone, new.zone, name)
    for aspect in ("required", "may_be_absent"):
        if getattr(old, aspect) != getattr(new, aspect):
            yield _change(f"{aspect}.{'on' if getattr(new, aspect) else 'off'}", name)
    yield from _number_change("scale", old.scale, new.scale, name, ("coarser", "finer"))
    yield from _number_change("max_abs", _limit(old), _limit(new), name)
    yield from _item_changes("sentinels", _nulls(old), _nulls(new), name)
    # A column that was renamed to or from its alias is already reported as a name change.
    was, is_ = (set(field.aliases) - {old.name, name} for field in (old, new))
    yield from _item_changes("aliases", sorted(was), sorted(is_), name)
    yield from _level_changes(old.levels, new.levels, name)
    yield from _derivation_changes(old.derivation, new.derivation, name)


def _rounded(field: Field) -> str:
    return "up" if field.round_up else "down"


def _in_unit(field: Field, stored: float) -> Decimal:
    """Convert a stored value to the column's unit; a new scale alone is then not a new limit."""
    return Decimal(str(stored)).scaleb(-(field.scale or 0)).normalize() + 0


def _limit(field: Field) -> Decimal | None:
    return None if field.max_abs is None else _in_unit(field, field.max_abs)


def _nulls(field: Field) -> list[object]:
    """Return the values (in the column's unit) and the texts that mean null."""
    values = (
        repr(sentinel) if isinstance(sentinel, str) else _in_unit(field, sentinel)
        for sentinel in field.sentinels
    )
    return [*values, *(f"the text {token!r}" for token in field.null_tokens)]


def _level_changes(
    old: Mapping[str, str], new: Mapping[str, str], name: str
) -> Iterator[ContractChange]:
    """Compare codes and their meanings.

    `level.recoded`: a code has a new meaning. `level.moved`: a meaning has a new code.
    """
    codes = {meaning: code for code, meaning in old.items()}
    for code, meaning in new.items():
        before = codes.get(meaning)
        if code in old:
            if old[code] != meaning:
                was = old[code]
                yield _change("level.recoded", name, item=code, before=was, after=meaning)
        elif before is not None and before not in new:
            yield _change("level.moved", name, item=meaning, before=before, after=code)
        else:
            yield _change("level.added", name, item=code)
    for code in old.keys() - new.keys():
        if old[code] not in new.values():
            yield _change("level.removed", name, item=code)


def _derivation_changes(
    old: Derivation | None, new: Derivation | None, name: str
) -> Iterator[ContractChange]:
    if old is None or new is None:
        yield from _optional_change(
            "derivation", old and _derivation_text(old), new and _derivation_text(new), name
        )
        return
    was, is_ = _reference(old), _reference(new)
    if _derivation_text(old) != _derivation_text(new) or (was is None) != (is_ is None):
        yield _change(
            "derivation.changed", name, before=_derivation_text(old), after=_derivation_text(new)
        )
    elif was is not None and is_ is not None and was.sha != is_.sha:
        yield from _lookup_changes(was, is_, name)


def _lookup_changes(
    old: ReferenceTable, new: ReferenceTable, name: str
) -> Iterator[ContractChange]:
    yield from _item_changes("lookup", old.values, new.values, name, after=new.name)
    for key in old.values.keys() & new.values.keys():
        was, is_ = old.values[key], new.values[key]
        if was != is_:
            yield _change("lookup.changed", name, item=key, before=was, after=is_)


def _reference(rule: Derivation) -> ReferenceTable | None:
    return None if isinstance(rule, Sql) else rule.zone.reference


def _derivation_text(rule: Derivation) -> str:
    """Describe a derivation, without the content of its lookup table."""
    if isinstance(rule, Sql):
        return rule.expression
    parts = []
    for part in fields(rule):
        value = getattr(rule, part.name)
        if is_dataclass(value):
            by = getattr(value, "by", None)
            value = getattr(value, "name", None) or f"of {by}"
        parts.append(f"{part.name} {value}")
    return f"{type(rule).__name__}({', '.join(parts)})"


def _plain_change(
    aspect: str, old: object, new: object, field: str | None = None
) -> Iterator[ContractChange]:
    if old != new:
        yield _change(f"{aspect}.changed", field, before=old, after=new)


def _optional_change(
    aspect: str, old: object, new: object, field: str | None = None
) -> Iterator[ContractChange]:
    if old == new:
        return
    kind = "set" if old is None else "dropped" if new is None else "changed"
    yield _change(f"{aspect}.{kind}", field, before=old, after=new)


def _number_change(
    aspect: str,
    old: float | Decimal | None,
    new: float | Decimal | None,
    field: str | None = None,
    words: tuple[str, str] = ("lowered", "raised"),
) -> Iterator[ContractChange]:
    if old is None or new is None:
        yield from _optional_change(aspect, old, new, field)
    elif old != new:
        yield _change(f"{aspect}.{words[new > old]}", field, before=old, after=new)


def _item_changes(
    aspect: str,
    old: Iterable[object],
    new: Iterable[object],
    field: str | None = None,
    **words: object,
) -> Iterator[ContractChange]:
    was, is_ = list(old), list(new)
    for item in is_:
        if item not in was:
            yield _change(f"{aspect}.added", field, item=item, **words)
    for item in was:
        if item not in is_:
            yield _change(f"{aspect}.removed", field, item=item, **words)


def _keeps_meaning(rule: str) -> bool:
    """Return True if the change does not alter `meaning_hash`."""
    aspect, kind = rule.split(".")
    return kind == "words" or aspect in _ASIDE


def _unexplained_change(
    old: Contract, new: Contract, *, has_changes: bool
) -> Iterator[ContractChange]:
    """Report a difference between the documents that no reported change explains.

    If `meaning_hash` differs, rows or values may differ: the change is `unknown.changed`.
    Otherwise it is `document.changed`.
    """
    if old.meaning_hash != new.meaning_hash:
        yield _change(UNKNOWN, before=old.meaning_hash[:12], after=new.meaning_hash[:12])
    elif not has_changes and _without_version(old) != _without_version(new):
        yield _change("document.changed")


def _without_version(contract: Contract) -> dict[str, Any]:
    return {**contract.document, "version": ""}
