"""Privacy treatments of personal and sensitive columns of a release, declared by column.

    public, internal        released unchanged
    personal, sensitive     only with a treatment: `Keep`, `Drop`, `Pseudonymise` or `Generalise`
    any other word          treated as sensitive
    not_stated, TODO …      a draft contract: released, recorded as not_stated, shown on the card

The class of a column comes from the contract of its table, and columns computed from it inherit it;
see `headrace.datasets.governance.privacy_classes`. Treatments are applied before the rows are split
and hashed, so that splits, groups, statistics and content hash see only treated values.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.clock import duration
from headrace.core.errors import DeclarationError, HeadraceError, StateError
from headrace.datasets.governance.privacy_key import PrivacyKey
from headrace.datasets.hashing.content_hash import canonical_type

PUBLIC, INTERNAL, PERSONAL, SENSITIVE = "public", "internal", "personal", "sensitive"
CLASSES = (PUBLIC, INTERNAL, PERSONAL, SENSITIVE)
UNDECIDED = ("not_stated", "TODO")


@dataclass(frozen=True)
class Keep:
    """Release a column unchanged; the manifest and the card show the reason `because`."""

    because: str

    def __post_init__(self) -> None:
        if not self.because.strip():
            raise DeclarationError(
                "a column is kept without a reason", where="Keep(...)", fix="give a reason"
            )


@dataclass(frozen=True)
class Drop:
    """Leave a column out. Columns computed from it have their own treatments."""


@dataclass(frozen=True)
class Pseudonymise:
    """Replace a value by a keyed digest of the same type: text, whole number or bytes.

    Nulls stay null. Equal values have equal pseudonyms, also across columns, datasets and releases
    with the same key; a pseudonym cannot be reversed without the key. Another key makes different
    pseudonyms.
    """


@dataclass(frozen=True)
class Generalise:
    """Replace a value by the lower bound of its interval; text by its first characters.

    `step` is the width of an interval: a number for numbers (`Generalise(10)`: 34 becomes 30), a
    duration such as "1d" for timestamps (counted from 1970, in UTC). For text it is the number of
    characters to keep.
    """

    step: int | float | str


Treatment: TypeAlias = Keep | Drop | Pseudonymise | Generalise


@dataclass(frozen=True)
class Treated:
    """Frame after the treatments, and the manifest's `privacy` entry: column -> facts."""

    frame: pa.Table
    privacy: dict[str, dict[str, str]]


def needs_treatment(privacy_class: str) -> bool:
    """True if a column of this class may only be released with a treatment."""
    return not is_undecided(privacy_class) and privacy_class not in (PUBLIC, INTERNAL)


def is_undecided(privacy_class: str) -> bool:
    return privacy_class.startswith(UNDECIDED)


def strictest(classes: Collection[str]) -> str:
    """The class of a column that is computed from columns of these classes; public if none."""
    return max(classes, key=_rank, default=PUBLIC)


def _rank(privacy_class: str) -> tuple[float, str]:
    if is_undecided(privacy_class):
        return (1.5, privacy_class)  # an undecided class counts as stricter than internal
    is_listed = privacy_class in CLASSES
    return (CLASSES.index(privacy_class) if is_listed else len(CLASSES), privacy_class)


def treat(
    name: str,
    frame: pa.Table,
    declared: Mapping[str, Treatment],
    classes: Mapping[str, str],
    *,
    fixed: Collection[str] = (),
    needed: Collection[str] = (),
) -> Treated:
    """Apply the declared treatments to `frame`.

    Args:
        name: name of the dataset.
        frame: the frame to release.
        declared: column, or a pattern such as `orders_30d__*`, -> treatment; the column's own name
            has priority over patterns, then the first matching pattern.
        classes: column -> privacy class; by default public.
        fixed: columns that can only be released unchanged: the time and the label.
        needed: columns that cannot be dropped: the key.

    Raises:
        DeclarationError: personal or sensitive columns have no treatment (all are named), a
            treatment matches no column, or it cannot be applied.
        StateError: `Pseudonymise` is declared, but there is no privacy key.
    """
    where = f"dataset {name}, privacy"
    treatments = _treatments_by_column(frame.column_names, declared, where)
    _check_declared(frame, treatments, classes, where)
    facts: dict[str, dict[str, str]] = {}
    key: PrivacyKey | None = None
    for column in frame.column_names:
        treatment, privacy_class = treatments.get(column), classes.get(column, PUBLIC)
        if treatment is None:
            if is_undecided(privacy_class):
                facts[column] = {"class": "not_stated", "treatment": "none"}
            continue
        _check_possible(column, treatment, fixed, needed, where)
        if isinstance(treatment, Pseudonymise) and key is None:
            key = PrivacyKey.find(f"pseudonymising {column!r} of {name}")
        if isinstance(treatment, Drop):
            frame = frame.drop_columns([column])
        elif not isinstance(treatment, Keep):
            values = _treated(frame.column(column), column, treatment, key, where)
            frame = frame.set_column(frame.column_names.index(column), column, values)
        facts[column] = {"class": privacy_class, **_facts(treatment, key)}
    return Treated(frame, facts)


def key_ids(privacy: Mapping[str, Mapping[str, str]]) -> set[str]:
    """Ids of the privacy keys that made the pseudonyms of a release."""
    return {facts["key_id"] for facts in privacy.values() if facts.get("key_id")}


def require_keys(ref: str, privacy: Mapping[str, Mapping[str, str]]) -> None:
    """Raise StateError unless the privacy key of this environment made the pseudonyms of `ref`."""
    for expected in sorted(key_ids(privacy)):
        actual = PrivacyKey.find(f"rebuilding {ref}").id
        if actual != expected:
            raise StateError(
                f"the pseudonyms of {ref} were made with the privacy key {expected}, "
                f"but this environment has {actual}",
                where=ref,
                fix="set the key that made them; a rotated key makes a new MAJOR version",
            )


def changed_treatments(
    declared: Mapping[str, Treatment], privacy: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """One sentence for each column whose declared treatment differs from the release's."""
    changes = []
    for column, then in sorted(privacy.items()):
        matching = [t for pattern, t in declared.items() if fnmatchcase(column, pattern)]
        treatment = declared.get(column, matching[0] if matching else None)
        now = _facts(treatment, None) if treatment else {"treatment": "none"}
        if any(now.get(fact) != then.get(fact) for fact in ("treatment", "step")):
            changes.append(f"privacy of {column}: {now['treatment']}, it was {then['treatment']}")
    return changes


def _treatments_by_column(
    columns: Collection[str], declared: Mapping[str, Treatment], where: str
) -> dict[str, Treatment]:
    wrong = [t for t in declared.values() if not isinstance(t, Treatment)]
    idle = [p for p in declared if not any(fnmatchcase(column, p) for column in columns)]
    if wrong or idle:
        raise DeclarationError(
            f"{wrong[0]!r} is not a treatment"
            if wrong
            else f"a treatment is declared for {idle[0]!r}, but the release has no such column",
            where=where,
            fix="Keep('why'), Drop(), Pseudonymise() or Generalise(10)"
            if wrong
            else f"it has {', '.join(columns)}",
        )
    treatments: dict[str, Treatment] = {}
    for column in columns:
        matching = [t for pattern, t in declared.items() if fnmatchcase(column, pattern)]
        if matching:
            treatments[column] = declared.get(column, matching[0])
    return treatments


def _check_declared(
    frame: pa.Table, treatments: Mapping[str, Treatment], classes: Mapping[str, str], where: str
) -> None:
    open_ = [
        f"{column} ({classes[column]})"
        for column in frame.column_names
        if column not in treatments and needs_treatment(classes.get(column, PUBLIC))
    ]
    if open_:
        raise DeclarationError(
            f"no privacy treatment is declared for {', '.join(open_)}",
            where=where,
            fix="in DatasetSpec(privacy={...}) give each a treatment: Keep('why'), Drop(), "
            "Pseudonymise() or Generalise(step); a pattern such as 'view__*' covers many",
        )


def _check_possible(
    column: str,
    treatment: Treatment,
    fixed: Collection[str],
    needed: Collection[str],
    where: str,
) -> None:
    if column in fixed and not isinstance(treatment, Keep):
        raise DeclarationError(
            f"{column!r} is the time or the label: it can only be released unchanged",
            where=where,
            fix="Keep('why')",
        )
    if column in needed and isinstance(treatment, Drop):
        raise DeclarationError(
            f"{column!r} is part of the key, and cannot be dropped",
            where=where,
            fix="Pseudonymise() keeps rows distinct without naming a person",
        )


def _facts(treatment: Treatment, key: PrivacyKey | None) -> dict[str, str]:
    if isinstance(treatment, Keep):
        return {"treatment": "keep", "because": treatment.because}
    if isinstance(treatment, Generalise):
        return {"treatment": "generalise", "step": str(treatment.step)}
    if isinstance(treatment, Pseudonymise):
        return {"treatment": "pseudonymise", "key_id": key.id if key else ""}
    return {"treatment": "drop"}


def _treated(
    column: pa.ChunkedArray,
    name: str,
    treatment: Pseudonymise | Generalise,
    key: PrivacyKey | None,
    where: str,
) -> pa.ChunkedArray:
    try:
        if isinstance(treatment, Pseudonymise):
            assert key is not None  # set by `treat`
            return pseudonymised(column, key)
        return _generalised(column, treatment)
    except HeadraceError as error:
        raise DeclarationError(
            error.what, where=f"{where}, column {name!r}", fix=error.fix
        ) from error


def pseudonymised(column: pa.ChunkedArray, key: PrivacyKey) -> pa.ChunkedArray:
    """Replace the values of a column by pseudonyms; nulls and the canonical type do not change."""
    kind = canonical_type(column.type)
    if kind not in ("int64", "string", "binary"):
        raise DeclarationError(
            f"a {kind} cannot be pseudonymised",
            fix="Generalise(step) or Drop(): the order or size of its values would identify them",
        )
    target = {"int64": pa.int64(), "string": pa.string(), "binary": pa.binary()}[kind]
    flat = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    encoded = pc.dictionary_encode(flat.cast(target).combine_chunks())
    values = [key.pseudonym(value) for value in encoded.dictionary.to_pylist()]
    if len(set(values)) < len(values):
        raise DeclarationError(
            "two values have the same 63-bit pseudonym; text has longer pseudonyms",
            fix="make it a text column",
        )
    return pa.chunked_array([pa.array(values, target).take(encoded.indices)])


def _generalised(column: pa.ChunkedArray, treatment: Generalise) -> pa.ChunkedArray:
    kind = canonical_type(column.type)
    steps: dict[str, Callable[[pa.ChunkedArray, Any], pa.ChunkedArray]] = {
        "int64": _floored_int,
        "float64": _floored,
        "timestamp": _floored_moment,
        "local_timestamp": _floored_moment,
        "string": _shortened,
    }
    step: Any = treatment.step
    if kind in ("timestamp", "local_timestamp") and isinstance(step, str):
        step = duration(step)
    is_integer = isinstance(step, int) and not isinstance(step, bool)
    if kind not in steps or not (is_integer or (kind == "float64" and isinstance(step, float))):
        raise DeclarationError(
            f"a {kind} cannot be generalised by {treatment.step!r}",
            fix="numbers by a number, timestamps by a duration such as '1d', text by a length",
        )
    if step <= 0:
        raise DeclarationError(
            f"a step of {treatment.step!r} is not positive", fix="more than zero"
        )
    return steps[kind](column, step)


def _floored_int(column: pa.ChunkedArray, step: int) -> pa.ChunkedArray:
    values = column.cast(pa.int64())
    down = pc.divide(values, step)  # towards zero
    lower = pc.and_(pc.less(values, 0), pc.not_equal(pc.multiply(down, step), values))
    return pc.multiply(pc.subtract(down, lower.cast(pa.int64())), step)


def _floored(column: pa.ChunkedArray, step: float) -> pa.ChunkedArray:
    values = column.cast(pa.float64())
    return pc.multiply(pc.floor(pc.divide(values, float(step))), float(step))


def _floored_moment(column: pa.ChunkedArray, step: int) -> pa.ChunkedArray:
    kind = pa.timestamp("us", column.type.tz)
    return _floored_int(column.cast(kind).cast(pa.int64()), step).cast(kind)


def _shortened(column: pa.ChunkedArray, step: int) -> pa.ChunkedArray:
    return pc.utf8_slice_codeunits(column.cast(pa.string()), 0, step)
