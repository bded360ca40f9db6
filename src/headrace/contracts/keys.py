"""Keys allowed in a contract file; the loader and the reference documentation use them."""

from typing import Literal

from headrace.contracts.model import FIRST_FIELD_ID, MOST_SCALE, Form, Kind, LogicalType, OnConflict
from headrace.core.declarations.strict_yaml import Key, Keys, choice

API_VERSIONS = ("v3.2.0",)
DOCUMENT_KINDS = ("DataContract",)
STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
KINDS: tuple[Kind, ...] = ("event", "planned", "state")
ON_CONFLICT: tuple[OnConflict, ...] = ("quarantine", "block")
DEFAULT_NULL_TOKENS = ("", "NA")
TYPES: tuple[LogicalType, ...] = ("integer", "number", "string", "timestamp", "boolean")
FORMS: tuple[Form, ...] = ("text", "float")
UTC = ("UTC", "Etc/UTC")
ROUNDINGS = ("down", "up")
AMBIGUOUS: tuple[Literal["first", "last"], ...] = ("first", "last")
MISSING: tuple[Literal["forward"], ...] = ("forward",)
# Key for parts of an imported ODCS document, kept for export; see `contracts.odcs`.
UNREAD = "unread"

ANY = "as in ODCS"
UNUSED = "ODCS key that Headrace stores but does not use."
_SQL = "`expression` and `description`"
_UNREAD = Key(
    UNREAD, "mapping", "Parts of an imported document that Headrace does not read; export writes "
    "them back."
)  # fmt: skip

CONTRACT = Keys((
    Key("apiVersion", choice(API_VERSIONS), "Version of the ODCS standard.", required=True),
    Key("kind", choice(DOCUMENT_KINDS), "Kind of the ODCS document.", required=True),
    Key("id", "text", "Identifier of the contract for other tools.", required=True),
    Key("name", "text", "Name of the contract for other tools.", required=True),
    Key("version", "`MAJOR.MINOR.PATCH`",
        "Version of the contract. `headrace contract check` compares its bump with the changes.",
        required=True),
    Key("status", choice(STATUSES),
        "State of the contract. Nothing is published under a `proposed` contract; only `proposed` "
        "and `draft` contracts may contain texts that begin with TODO.", required=True),
    Key("description", "mapping", "Purpose and limits of the table.", required=True),
    Key("schema", "list of one table", "The table: one file per table.", required=True),
    Key("team", "mapping", "The team that owns the table.", required=True),
    Key("customProperties", "list of `{property, value}`",
        "Consumers and terms of use.", required=True),
    Key("domain", "text", "Business domain, for readers and other tools."),
    Key("tenant", ANY, UNUSED),
    Key("dataProduct", ANY, UNUSED),
    Key("tags", ANY, UNUSED),
    Key("support", "list of `{channel, url, scope}`",
        "Where to reach the owner; gate reports show it."),
    Key("price", ANY, UNUSED),
    Key("roles", ANY, UNUSED),
    Key("slaProperties", ANY, UNUSED),
    Key("slaDefaultElement", ANY, UNUSED),
    Key("authoritativeDefinitions", ANY, UNUSED),
    Key("contractCreatedTs", ANY, UNUSED),
))  # fmt: skip
CONTRACT_CUSTOM = Keys((
    Key("consumers", "list of texts",
        "Pipelines and people who read the table; a breaking change names them.", required=True),
    Key("licence", "SPDX expression",
        "Licence of the data. A release checks that the licences of its tables are compatible.",
        required=True),
    Key("allowedPurposes", "list of texts",
        "Purposes that the data may serve. A release for another purpose is refused.",
        required=True),
    Key("privacyClass", "text",
        "Privacy class of the columns without a `classification`.", required=True),
    _UNREAD,
))  # fmt: skip
TEAM = Keys((
    Key("name", "text", "Owner of the table: alerts are routed by it.", required=True),
    Key("id", ANY, UNUSED),
    Key("description", "text", "Who the team is, for readers."),
    Key("members", ANY, UNUSED),
    Key("tags", ANY, UNUSED),
    Key("customProperties", ANY, UNUSED),
    Key("authoritativeDefinitions", ANY, UNUSED),
))  # fmt: skip
DESCRIPTION = Keys((
    Key("purpose", "text", "What the table is for.", required=True),
    Key("usage", "text", "How to use it, for readers."),
    Key("limitations", "text", "Known limits, for readers."),
    Key("authoritativeDefinitions", ANY, UNUSED),
    Key("customProperties", ANY, UNUSED),
))  # fmt: skip
TABLE = Keys((
    Key("name", "text", "Name of the table.", required=True),
    Key("dataGranularityDescription", "text", "What one row stands for.", required=True),
    Key("properties", "list of columns",
        "Delivered columns first, then derived ones; a column may use those before it.",
        required=True),
    Key("customProperties", "list of `{property, value}`",
        "Time rules and other settings of the table.", required=True),
    Key("id", ANY, UNUSED),
    Key("logicalType", ANY, UNUSED),
    Key("physicalType", ANY, UNUSED),
    Key("physicalName", ANY, UNUSED),
    Key("description", "text", "What the table holds, for readers."),
    Key("businessName", ANY, UNUSED),
    Key("tags", ANY, UNUSED),
    Key("authoritativeDefinitions", ANY, UNUSED),
))  # fmt: skip
TABLE_CUSTOM = Keys((
    Key("tableKind", choice(KINDS),
        "`event`: a row is something that happened; `planned`: it is known before it happens; "
        "`state`: it holds until a later row of the same key.", required=True),
    Key("eventTime", _SQL, "When the row's event happens, or its state begins.", required=True),
    Key("knownAt", _SQL,
        "When the row becomes known. Features at a time `t` read only rows known by `t`. The "
        "expression may use `event_time`.", required=True),
    Key("nullTokens", "list of texts",
        "Unquoted CSV fields that are null.",
        default=f"`{list(DEFAULT_NULL_TOKENS)}`".replace("'", '"')),
    Key("sourceForm", choice(FORMS),
        "How the source writes numbers: `text` keeps decimals exact, `float` is rounded to the "
        "column's scale.", default="`text`"),
    Key("sequence", "name of a delivered integer column",
        "Orders the versions of a row that have the same known-at."),
    Key("coverage", "`first` and `last`",
        "First and last partition that must have a delivery; one without is MISSING."),
    Key("maxEvents", "whole number from 1",
        "Greatest number of rows in a feature window. Up to it, sums are proven not to overflow; "
        "features of a window with more rows are null."),
    Key("invariants", "list of `{name, expression, description}`",
        "SQL booleans over the published row. A row for which one is false is quarantined; null "
        "passes.", default="none"),
    Key("deleted", _SQL,
        "SQL boolean over the row: true for a tombstone, which deletes its key as of its known-at. "
        "Needs a primary key."),
    Key("retiredFieldIds", "list of whole numbers",
        "Field ids of removed columns; no column may use them again.", default="none"),
    Key("relations", "list of `{name, expression, description}`",
        "SQL booleans over delivered columns that are true for nearly all rows. A row that breaks "
        "one still passes; drift detection uses them.", default="none"),
    Key("slotZone", "IANA time zone", "Time zone in which partitions' days begin.",
        default="`UTC`"),
    Key("conflicts", choice(ON_CONFLICT),
        "Action on a row that has the key, known-at and sequence of an earlier delivery's row but "
        "other values. Needs a primary key.", default="`quarantine`"),
    _UNREAD,
))  # fmt: skip
COVERAGE = Keys((
    Key("first", "partition",
        "First expected partition; `snapshot` for a snapshot table.", required=True),
    Key("last", "partition", "Last expected partition; not before `first`.", required=True),
))  # fmt: skip
TIME_RULE = Keys((
    Key("expression", "SQL", "DuckDB expression over one row.", required=True),
    Key("description", "text", "The same in words.", required=True),
))  # fmt: skip
INVARIANT = Keys((
    Key("name", "text", "Unique name; reports show it.", required=True),
    *TIME_RULE,
))  # fmt: skip
# ODCS keys that only describe are accepted. Keys that would require a check, such as `quality`, are
# rejected: an unenforced rule is worse than none, and quality rules belong in the suite.
COLUMN = Keys((
    Key("name", "letters, digits and `_`",
        "Name of the column; unique whatever the case of letters.", required=True),
    Key("logicalType", choice(TYPES), "Type of the column.", required=True),
    Key("description", "text", "What the column holds.", required=True),
    Key("id", ANY, UNUSED),
    Key("businessName", ANY, UNUSED),
    Key("physicalType", ANY, UNUSED),
    Key("required", "boolean",
        "Null is not allowed: such a row is quarantined.", default="`false`"),
    Key("primaryKey", "boolean", "The column is part of the primary key.", default="`false`"),
    Key("primaryKeyPosition", "whole number from 1",
        "Place of the column in the key; required with `primaryKey: true`."),
    Key("logicalTypeOptions", "mapping", "Options of a timestamp; no other type has any."),
    Key("classification", "text",
        "Privacy class of the column.", default="`privacyClass` of the contract"),
    Key("transformLogic", "SQL",
        "Makes this a derived column: a DuckDB expression over the columns before it."),
    Key("transformDescription", ANY, UNUSED),
    Key("transformSourceObjects", ANY, UNUSED),
    Key("criticalDataElement", ANY, UNUSED),
    Key("examples", ANY, UNUSED),
    Key("tags", ANY, UNUSED),
    Key("authoritativeDefinitions", ANY, UNUSED),
    Key("customProperties", "list of `{property, value}`", "Settings of the column."),
))  # fmt: skip
TIMESTAMP_OPTIONS = Keys((
    Key("timezone", ANY, UNUSED),
    Key("defaultTimezone", choice(UTC), "Timestamps are UTC; no other zone is accepted."),
    Key("format", ANY, UNUSED),
))  # fmt: skip
# Keys of delivered columns only; a derived column has none of these.
DELIVERED_COLUMN = Keys((
    Key("sourceForm", choice(FORMS),
        "As for the table, for this column.", default="`sourceForm` of the table"),
    Key("sentinels", "list", "Values, in the unit, that mean null.", default="none"),
    Key("nullTokens", "list of texts",
        "Further unquoted CSV fields that mean null in this column.", default="none"),
    Key("aliases", "list of texts",
        "Other names under which the column may be delivered.", default="none"),
    Key("mayBeAbsent", "boolean",
        "A delivery without the column is accepted; its values are null.", default="`false`"),
    Key("rounding", choice(ROUNDINGS),
        "Rounding of timestamps finer than a microsecond. A column used as the known-at needs "
        "`up`.", default="`down`"),
    Key("explainedBy", "list of columns, or list of such lists",
        "Delivered columns that together nearly determine this one; drift detection uses them.",
        default="none"),
))  # fmt: skip
COLUMN_CUSTOM = Keys((
    Key("fieldId", f"whole number from {FIRST_FIELD_ID}",
        "Stable number of the column in files. Required unless the column is hidden; never used "
        "again."),
    Key("unit", "text", "Unit of a number, such as `mile` or `degC`."),
    Key("zone", "IANA time zone, or `of <column>`",
        "Time zone of the clock that the column shows; `of <column>` if it differs by row."),
    Key("scale", f"whole number, 0 to {MOST_SCALE}",
        "Decimal digits: the column is published as DECIMAL and computed as int64 in units of "
        "10^-scale. Needs `maxAbs`."),
    Key("maxAbs", "number",
        "Greatest absolute value, in the unit; a row beyond it is quarantined."),
    Key("levels", "mapping from code to text",
        "Meaning of each code. The suite, not this key, restricts which codes are allowed.",
        default="none"),
    Key("hidden", "boolean",
        "True for a derived column that is not published; it has no `fieldId`. Later columns may "
        "use it.",
        default="`false`"),
    Key("derivation", "mapping with `op`",
        "Makes this a derived column by one of the clock operations below."),
    _UNREAD,
    *DELIVERED_COLUMN,
))  # fmt: skip
_ZONE = Key("zone", "IANA time zone, or a lookup", "Time zone of the clock.", required=True)
LOCAL_TIME = Keys((
    Key("op", "`local_time`",
        "The instant at which a local clock shows a date and a time.", required=True),
    Key("year", "integer column", "Year of the local date.", required=True),
    Key("month", "integer column", "Month of the local date.", required=True),
    Key("day", "integer column", "Day of the local date.", required=True),
    Key("clock", "integer column or constant",
        "Local time as HHMM; 2400 is the next midnight.", required=True),
    _ZONE,
    Key("ambiguous", choice(AMBIGUOUS),
        "Which instant to use if the clock shows the time twice.", required=True),
    Key("missing", choice(MISSING),
        "A time that the clock skips is moved forward by the gap.", required=True),
    Key("days", "whole number", "Number of days to add to the date.", default="`0`"),
))  # fmt: skip
NEXT_CLOCK = Keys((
    Key("op", "`next_clock`",
        "The first instant, from a timestamp on, at which a local clock shows a time.",
        required=True),
    Key("after", "timestamp column", "The timestamp to start from.", required=True),
    Key("clock", "integer column", "Local time as HHMM.", required=True),
    _ZONE,
))  # fmt: skip
WALL_CLOCK = Keys((
    Key("op", "`wall_clock`",
        "The local time at a timestamp, as the integer YYYYMMDDHHMM.", required=True),
    Key("of", "timestamp column", "The timestamp.", required=True),
    _ZONE,
))  # fmt: skip
ZONE_LOOKUP = Keys((
    Key("by", "text column", "Column whose value is looked up.", required=True),
    Key("reference", "path",
        "CSV file, relative to the contract; its content is part of the contract's hash.",
        required=True),
    Key("key", "column of the file", "Column that holds the values of `by`.", required=True),
    Key("value", "column of the file", "Column that holds IANA time zones.", required=True),
))  # fmt: skip
