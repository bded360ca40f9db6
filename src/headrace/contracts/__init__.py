"""Contracts: what a table means, declared once in ODCS 3.2 YAML and enforced on every batch.

`load_contract(path)` reads one; `conform(contract, rows, batch_id)` applies it. A delivery that
breaks its contract has violations and no table; a row that breaks a rule of rows is listed in
`bad_rows`, for the gate to quarantine.

ODCS says names, types, keys, nullability, owner (`team.name`), grain
(`dataGranularityDescription`), class (`classification`) and SQL derivations (`transformLogic`).
The rest are custom properties. Those of the contract:

- `consumers`, `allowedPurposes`: lists of names. `licence`: an SPDX id. `privacyClass`: the
  class of columns without a `classification`.

Those of the table:

- `tableKind`: `event`, `planned` (known before it happens) or `state`.
- `eventTime`, `knownAt`: `{expression, description}`, SQL over the row giving a timestamp;
  `knownAt` may use `event_time`.
- `deleted`: `{expression, description}`, a SQL boolean over the row: a row for which it is true is
  a tombstone, which deletes its key from its known-at on. It still has an event time and a key.
- `nullTokens`: unquoted CSV fields that mean null, for the reader; `["", "NA"]` if not given.
- `sourceForm`: `text` (decimal text is exact) or `float`; decides how numbers are quantised.
- `sequence`: an integer column that orders versions of a row with one known-at.
- `conflicts`: `quarantine` (the default) or `block`: what becomes of a delivery whose rows have the
  key, known-at and sequence of rows of an earlier delivery, and other values.
- `coverage`: `{first, last}`, the slots that must have a delivery.
- `maxEvents`: the greatest number of rows that a window can hold, for proofs against overflow.
- `retiredFieldIds`: field ids of columns that are gone, so that no later column takes one.
- `relations`: what nearly all rows keep, written as `invariants`; no row fails for breaking one.
  The detection of changed meaning leans on them.
- `slotZone`: the IANA zone whose days the slots are, if it is not UTC.
- `invariants`: `{name, expression, description}`, SQL booleans over the published row; a row for
  which one is false is quarantined by the gate (unknown, SQL's null, passes).

Those of a column:

- `fieldId`: stable number from 10 on, never used again after a column is gone.
- `unit`, `zone`: what a number counts, whose clock it shows (`of dest`: the destination's).
- `scale`: decimal digits kept; the column is published as DECIMAL, and computed with as int64 in
  units of 10^-scale, which is also what SQL in a contract works on.
- `maxAbs`: the greatest absolute value, in the unit; rows beyond are quarantined.
- `levels`: what codes mean, `{code: meaning}`.
- `explainedBy`: columns that together all but determine this one, or a list of such lists, for the
  detection of changed meaning.
- `sentinels`, `nullTokens`: values and texts of this column that mean null.
- `aliases`: other names under which it may be delivered. `mayBeAbsent`: it may be missing.
- `rounding`: `down` or `up`, for moments finer than a microsecond.
- `sourceForm`: as for the table.
- `derivation`: `local_time`, `next_clock` or `wall_clock`; see the classes in `model`.
- `hidden`: the derived column is used by later ones and not published; it has no `fieldId`.
"""

from headrace.contracts.conform import Conformed, RowProblem, Violation, conform
from headrace.contracts.evolution.compatibility import (
    Change,
    Comparison,
    Level,
    compare,
    compare_all,
)
from headrace.contracts.load import load_contract
from headrace.contracts.model import Contract, Derivation, Field, Invariant, TimeRule

__all__ = [
    "Change",
    "Comparison",
    "Conformed",
    "Contract",
    "Derivation",
    "Field",
    "Invariant",
    "Level",
    "RowProblem",
    "TimeRule",
    "Violation",
    "compare",
    "compare_all",
    "conform",
    "load_contract",
]
