"""Application of a contract to a delivery: parse cells, derive columns, report violations."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.contracts.derive import DerivationFailed, derive
from headrace.contracts.duplicate_rows import DuplicateRows, find_duplicates
from headrace.contracts.model import Contract, Field
from headrace.contracts.typed_cells import EXPECTED, Rounded, TypedCells, parse, rounded
from headrace.sources.rows import Malformed, RawRows, shortened

MOST_LISTED = 100  # violations described in full; the others are only counted
# Rules whose bad rows may have cells without a typed value. Duplicate detection skips these rows.
UNTYPED = frozenset({"type", "undeclared", "doubled", "derivation"})
# With `by_row`: maximum number of rows on which an expression may fail before the whole delivery
# fails. The number is limited because each such row makes all expressions run once more.
MOST_UNDERIVABLE = 50


@dataclass(frozen=True)
class Violation:
    """Violation of a contract by a batch; `line` is None if the whole delivery is at fault."""

    field: str
    line: int | None
    expected: str
    got: str
    fix: str = ""

    def __str__(self) -> str:
        unit = "delivery" if self.line is None else "row"
        where = f"field {self.field!r}" if self.field else unit
        line = "" if self.line is None else f", line {self.line}"
        text = f"{where}{line}: expected {self.expected}, got {self.got}"
        return f"{text} (fix: {self.fix})" if self.fix else text


@dataclass(frozen=True)
class RowProblem:
    """Reason to quarantine one row: `rule` is a short stable name, `reason` a sentence."""

    line: int
    rule: str
    reason: str
    field: str = ""


@dataclass(frozen=True)
class Conformed:
    """Typed rows of a batch, and its problems under the contract.

    `table` has the rows, including those in `bad_rows`, in the schema `Contract.arrow_schema()` and
    in delivered order; it is None if there is any violation. `violations` holds the first
    `MOST_LISTED` violations, `violation_count` counts all of them. If there is a table,
    `delivered` = rows of `table` + `repeated` (exact duplicates dropped) + malformed rows.
    """

    table: pa.Table | None
    violations: tuple[Violation, ...]
    violation_count: int
    bad_rows: tuple[RowProblem, ...]
    warnings: tuple[str, ...]
    repeated: int
    delivered: int
    rounded: tuple[Rounded, ...] = ()


@dataclass
class _Conforming:
    """State of `conform` for one batch: the typed columns and problems so far."""

    contract: Contract
    rows: RawRows
    by_row: bool = False
    note_clashes: bool = False
    columns: dict[str, pa.Array] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    count: int = 0
    problems: dict[int, list[RowProblem]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    rounded: list[Rounded] = field(default_factory=list)

    def violate(self, violations: Iterable[Violation], count: int | None = None) -> None:
        """Add violations; store the first `MOST_LISTED`, and add `count` (or their number)."""
        new = list(violations)
        self.violations += new[: MOST_LISTED - len(self.violations)]
        self.count += len(new) if count is None else count

    def broken(self) -> bool:
        return self.count > 0

    def line(self, row: int) -> int:
        return int(self.rows.lines[row])

    def note(self, row: int, rule: str, reason: str, name: str) -> None:
        problem = RowProblem(self.line(row), rule, reason, name)
        self.problems.setdefault(row, []).append(problem)


def conform(
    contract: Contract,
    rows: RawRows,
    batch_id: str,
    *,
    by_row: bool = False,
    note_clashes: bool = False,
) -> Conformed:
    """Apply `contract` to the rows of one delivery. Bad data is reported, never raised.

    `by_row` is for events, which are independent of each other: a problem in one row is then listed
    in `bad_rows` and does not fail the whole delivery, and the caller handles `rows.malformed`.
    Rows with the same key and known-at but different values are left to the lake's conflict check;
    with `note_clashes` they become bad rows here.
    """
    work = _Conforming(contract, rows, by_row, note_clashes)
    if by_row:
        _note_undeclared(work)
    else:
        work.violate(_malformed_violation(m, rows) for m in rows.malformed)
        if rows.columns:
            _check_columns(work)
    _parse(work)
    if work.broken():
        return _result(work, None, 0)
    _derive(work)
    if work.broken():
        return _result(work, None, 0)
    _check_times(work)
    repeats = _find_duplicates(work)
    return _result(
        work, None if work.broken() else _table(work, batch_id, repeats), len(repeats.dropped)
    )


def _malformed_violation(part: Malformed, rows: RawRows) -> Violation:
    if not part.text and not rows.columns:
        return Violation("", None, "a file that can be read", part.why)
    return Violation("", part.line, "a whole row", f"{shortened(part.text)} ({part.why})")


def _check_columns(work: _Conforming) -> None:
    """Report missing, undeclared and duplicate columns; a column may be delivered by an alias."""
    declared = {
        name for column in work.contract.delivered for name in (column.name, *column.aliases)
    }
    unknown = [name for name in work.rows.columns if name not in declared]
    missing = []
    for column in work.contract.delivered:
        delivered = [name for name in (column.name, *column.aliases) if name in work.rows.columns]
        if len(delivered) > 1:
            what = f"one column {column.name!r}"
            work.violate([Violation(column.name, None, what, f"columns {', '.join(delivered)}")])
        if not delivered and not column.may_be_absent:
            missing.append(column)
    renamed = _renames(missing, unknown)
    work.violate(_missing_violation(column, renamed.get(column.name)) for column in missing)
    declared_names = ", ".join(column.name for column in work.contract.delivered)
    work.violate(
        Violation(name, None, f"one of the columns {declared_names}", f"undeclared column {name!r}")
        for name in unknown
        if name not in renamed.values()
    )


def _note_undeclared(work: _Conforming) -> None:
    """Note rows that have an undeclared field, or the same field under several of its names."""
    table = work.rows.table
    declared = [(column.name, *column.aliases) for column in work.contract.delivered]
    declared_names = {name for names in declared for name in names}
    for name in work.rows.columns:
        if name not in declared_names:
            for row in np.flatnonzero(_present(table, name)):
                work.note(int(row), "undeclared", f"undeclared field {name!r}", name)
    for names in declared:
        delivered = [name for name in names if name in work.rows.columns]
        if len(delivered) > 1:
            occurrences = sum(_present(table, name).astype(np.int64) for name in delivered)
            for row in np.flatnonzero(occurrences > 1):
                reason = f"one field under several names: {', '.join(delivered)}"
                work.note(int(row), "doubled", reason, names[0])


def _present(table: pa.Table, name: str) -> NDArray[np.bool_]:
    valid: NDArray[np.bool_] = table.column(name).is_valid().to_numpy()
    return valid


def _renames(missing: list[Field], unknown: list[str]) -> dict[str, str]:
    """Guess which missing columns were renamed; return {missing column: undeclared column}."""
    if len(missing) == len(unknown) == 1:
        return {missing[0].name: unknown[0]}
    pairs = [(_likeness(c.name, name), c.name, name) for c in missing for name in unknown]
    renames: dict[str, str] = {}
    for likeness, old, new in sorted(pairs, reverse=True):
        if likeness > 0.6 and old not in renames and new not in renames.values():
            renames[old] = new
    return renames


def _likeness(first: str, second: str) -> float:
    """Return the similarity of two names, 0 to 1; 0.9 if one name begins with the other."""
    if first.startswith(second) or second.startswith(first):
        return 0.9
    return difflib.SequenceMatcher(None, first, second).ratio()


def _missing_violation(column: Field, renamed: str | None) -> Violation:
    expected = f"column {column.name!r} ({column.form_text})"
    if renamed is None:
        return Violation(
            column.name, None, expected, "no such column", "ask the producer to deliver it again"
        )
    fix = (
        f"if it was only renamed and still means the same, add aliases: [{renamed}] to "
        f"{column.name!r} in the contract; otherwise ask the producer"
    )
    return Violation(column.name, None, expected, f"undeclared column {renamed!r} instead", fix)


def _parse(work: _Conforming) -> None:
    for column in work.contract.delivered:
        text = _text(work.rows, column)
        if text is None:
            work.columns[column.name] = pa.nulls(work.rows.table.num_rows, column.arrow_type)
            if work.by_row and not column.may_be_absent:
                _store_column(work, column, TypedCells(work.columns[column.name]))
            continue
        cells = parse(column, text)
        if work.by_row and cells.wrong:
            cells = _parse_valid(work, column, text, cells.wrong)
        listed = cells.wrong[:MOST_LISTED]
        expected = f"{EXPECTED.get(column.type, column.type)} ({column.form_text})"
        work.violate(
            (
                Violation(column.name, work.line(row), expected, repr(shortened(text[row].as_py())))
                for row in listed
            ),
            len(cells.wrong),
        )
        _store_column(work, column, cells)
        if len(cells.rounded) and column.scale is not None:
            lossy = text.take(pa.array(cells.rounded))
            line = work.line(int(cells.rounded[0]))
            work.rounded.append(rounded(column.name, column.scale, lossy, line))


def _parse_valid(work: _Conforming, column: Field, text: pa.Array, wrong: list[int]) -> TypedCells:
    """Parse the column with null for the `wrong` cells, and note a problem for each such row."""
    for row in wrong:
        actual = repr(shortened(str(text[row].as_py())))
        expected = f"{EXPECTED.get(column.type, column.type)} ({column.form_text})"
        reason = f"{column.name}: expected {expected}, got {actual}"
        work.note(row, "type", reason, column.name)
    bad = np.zeros(len(text), bool)
    bad[wrong] = True
    return parse(column, pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), text))


def _text(rows: RawRows, column: Field) -> pa.Array | None:
    """Return a column as delivered text; if it came under several names, coalesce them by row."""
    delivered = [name for name in (column.name, *column.aliases) if name in rows.columns]
    if not delivered:
        return None
    arrays = [rows.table.column(name).combine_chunks() for name in delivered]
    return arrays[0] if len(arrays) == 1 else pc.coalesce(*arrays)


def _store_column(work: _Conforming, column: Field, cells: TypedCells) -> None:
    """Store a finished column; note a row problem for each null in a required or key column."""
    work.columns[column.name] = cells.values
    for row, rule, reason in cells.problems:
        work.note(row, rule, reason, column.name)
    is_key = column.primary_key_position is not None
    if (column.required or is_key) and cells.values.null_count and not cells.wrong:
        for row in _null_rows(cells.values):
            if row not in work.problems:  # otherwise the cause of the null is already noted
                rule = "primary_key" if is_key else "required"
                work.note(row, rule, f"{column.name} is null", column.name)


def _null_rows(values: pa.Array) -> list[int]:
    rows: list[int] = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)).tolist()
    return rows


def _derive(work: _Conforming) -> None:
    """Compute derived columns; input values that are infinite or exceed `max_abs` count as null."""
    usable = dict(work.columns)
    for name, rows in _unusable_rows(work).items():
        usable[name] = _nulled(usable[name], rows)
    underivable: list[int] = []
    while True:
        try:
            derived = list(derive(work.contract, dict(usable)))
        except DerivationFailed as failed:
            if not work.by_row or len(underivable) == MOST_UNDERIVABLE:
                expected = "a value that can be derived"
                work.violate([Violation(failed.field, work.line(failed.row), expected, failed.why)])
                return
            underivable.append(failed.row)
            work.note(failed.row, "derivation", f"{failed.field}: {failed.why}", failed.field)
            usable = {name: _nulled(column, [failed.row]) for name, column in usable.items()}
        else:
            break
    for column, cells in derived:
        _store_column(work, column, cells)


def _nulled(column: pa.Array, rows: list[int]) -> pa.Array:
    mask = np.zeros(len(column), bool)
    mask[rows] = True
    return pc.if_else(pa.array(mask), pa.scalar(None, column.type), column)


def _unusable_rows(work: _Conforming) -> Mapping[str, list[int]]:
    unusable: dict[str, list[int]] = {}
    for row, problems in work.problems.items():
        for problem in problems:
            if problem.rule in ("infinity", "max_abs"):
                unusable.setdefault(problem.field, []).append(row)
    return unusable


def _check_times(work: _Conforming) -> None:
    for name in ("event_time", "known_at"):
        for row in _null_rows(work.columns[name]) if work.columns[name].null_count else ():
            if row not in work.problems:
                work.note(
                    row, name, f"{name} is null: {_time_expression(work.contract, name)}", name
                )
    if work.contract.kind == "planned":
        return
    early = pc.less(work.columns["known_at"], work.columns["event_time"])
    count = pc.sum(early).as_py() or 0
    if count:
        line = work.line(pc.index(early, True).as_py())
        work.warnings.append(f"{count} rows are known before they happen, first on line {line}")


def _time_expression(contract: Contract, name: str) -> str:
    rule = contract.event_time if name == "event_time" else contract.known_at
    return rule.expression.expression


def _find_duplicates(work: _Conforming) -> DuplicateRows:
    content = [column.name for column in work.contract.delivered]
    identity = list(work.contract.identity)
    table, by = pa.table(work.columns), "known_at" if identity else None
    if work.by_row:
        return _find_duplicates_of_typed(work, table, identity or content, content, by)
    repeats = find_duplicates(table, identity or content, content, by)
    if work.contract.primary_key:
        work.violate(_clash_violation(work, *clash) for clash in repeats.clashes)
    return repeats


def _find_duplicates_of_typed(
    work: _Conforming, table: pa.Table, identity: list[str], content: list[str], by: str | None
) -> DuplicateRows:
    """Find duplicates among fully typed rows; with `note_clashes`, note rows that clash."""
    untyped = [
        row
        for row, problems in work.problems.items()
        if any(problem.rule in UNTYPED for problem in problems)
    ]
    typed = np.setdiff1d(np.arange(table.num_rows), untyped)
    repeats = find_duplicates(table.take(pa.array(typed)), identity, content, by)
    clashing: dict[int, int] = {}
    for first, second, _ in (
        repeats.clashes if work.note_clashes and work.contract.primary_key else ()
    ):
        clashing.setdefault(int(typed[first]), int(typed[second]))
        clashing[int(typed[second])] = int(typed[first])
    for row, second in sorted(clashing.items()):
        reason = f"line {work.line(second)} has the same key and known-at, and other values"
        work.note(row, "clash", reason, work.contract.primary_key[0])
    return DuplicateRows(tuple(int(typed[row]) for row in repeats.dropped))


def _clash_violation(work: _Conforming, earlier: int, later: int, name: str) -> Violation:
    columns = {**work.columns, "_line": pa.array(work.rows.lines, pa.int64())}
    return clash(work.contract, columns, earlier, later, name)


def clash(
    contract: Contract,
    columns: Mapping[str, pa.Array] | pa.Table,
    earlier: int,
    later: int,
    name: str,
) -> Violation:
    """Violation for two rows that have the same key and known-at but different values of `name`.

    `earlier` and `later` are row numbers; `columns` must include `_line`.
    """
    fields = {field.name: field for field in contract.columns}

    def value(name: str, row: int) -> object:
        stored = columns[name][row].as_py()
        return fields[name].in_unit(stored) if name in fields else stored

    earlier_value, later_value = (value(name, row) for row in (earlier, later))
    lines = [columns["_line"][row].as_py() for row in (earlier, later)]
    keys = {key: value(key, later) for key in contract.primary_key}
    expected = (
        f"{earlier_value!r} as on line {lines[0]}, which has the same key and known-at {keys}"
    )
    fix = "two versions of a row need different known-at times or sequence numbers"
    return Violation(name, lines[1], expected, repr(later_value), fix)


def _table(work: _Conforming, batch_id: str, repeats: DuplicateRows) -> pa.Table:
    schema = work.contract.arrow_schema()
    rows = work.rows.table.num_rows
    reserved = {"_batch": pa.repeat(batch_id, rows), "_line": pa.array(work.rows.lines, pa.int64())}
    columns = {**work.columns, **reserved}
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    if not repeats.dropped:
        return table
    keep = np.ones(rows, bool)
    keep[list(repeats.dropped)] = False
    for row in repeats.dropped:
        work.problems.pop(row, None)
    return table.filter(pa.array(keep))


def _result(work: _Conforming, table: pa.Table | None, repeated: int) -> Conformed:
    problems = [problem for row in sorted(work.problems) for problem in work.problems[row]]
    return Conformed(
        table=table,
        violations=tuple(work.violations),
        violation_count=work.count,
        bad_rows=tuple(problems),
        warnings=tuple(work.warnings),
        repeated=repeated,
        delivered=work.rows.delivered,
        rounded=tuple(work.rounded),
    )
