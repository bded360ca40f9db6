"""Windowed features by hand in DuckDB: several formulations with the same answers.

Events are known when they happen. A window excludes its end, like Headrace's windows.
"""

import duckdb

BOTH = """
    SELECT entity, t, amount, shop, NULL::BIGINT AS row FROM events UNION ALL
    SELECT entity, t, NULL, NULL, row FROM spine
"""


def window(db: duckdb.DuckDBPyConnection, windows: dict[str, int], *, rich: bool = False) -> None:
    """Use window functions over the union of events and spine rows."""
    columns, frames = [], []
    for name, width in windows.items():
        columns += [f"{f}(amount) OVER w_{name} AS {f}_{name}" for f in _functions(rich=rich)]
        if rich:
            columns += [
                f"last_value(amount IGNORE NULLS) OVER w_{name} AS last_{name}",
                f"count(DISTINCT shop) OVER w_{name} AS distinct_{name}",
            ]
        frames.append(f"w_{name} AS ({_frame(width)})")
    _finish(
        db,
        f"SELECT row, {', '.join(columns)} FROM ({BOTH}) WINDOW {', '.join(frames)}",
        windows,
        rich=rich,
    )


def running(db: duckdb.DuckDBPyConnection, windows: dict[str, int], *, rich: bool = False) -> None:
    """Read running sums at both ends by ASOF joins; use window functions for the extremes."""
    del rich
    db.execute("""
        CREATE OR REPLACE TEMP TABLE sums AS
        SELECT entity, t, max(n) AS n, arg_max(s, n) AS s FROM (
            SELECT entity, t, row_number() OVER w AS n, sum(amount) OVER w AS s FROM events
            WINDOW w AS (PARTITION BY entity ORDER BY t ROWS UNBOUNDED PRECEDING)
        ) GROUP BY entity, t
    """).fetchall()
    joins, columns, extremes, frames = [], [], [], []
    for name, width in {"end": 0, **windows}.items():
        joins.append(
            f"ASOF LEFT JOIN sums AS s_{name} ON spine.entity = s_{name}.entity"
            f" AND spine.t - {width} > s_{name}.t"
        )
    for name, width in windows.items():
        for column, what in (("n", "count"), ("s", "sum")):
            columns.append(
                f"coalesce(s_end.{column}, 0) - coalesce(s_{name}.{column}, 0) AS {what}_{name}"
            )
        extremes += [f"{f}(amount) OVER w_{name} AS {f}_{name}" for f in ("min", "max")]
        frames.append(f"w_{name} AS ({_frame(width)})")
    _finish(
        db,
        f"""
        SELECT * FROM (SELECT row, {", ".join(columns)} FROM spine {" ".join(joins)})
        JOIN (
            SELECT * FROM (
                SELECT row, {", ".join(extremes)} FROM ({BOTH}) WINDOW {", ".join(frames)}
            ) WHERE row IS NOT NULL
        ) USING (row)
        """,
        windows,
    )


def joined(db: duckdb.DuckDBPyConnection, windows: dict[str, int], *, rich: bool = False) -> None:
    """Join each row with all events of its longest window, then group by row."""
    columns = []
    for name, width in windows.items():
        kept = f"FILTER (e.t >= spine.t - {width})"
        columns += [f"{f}(amount) {kept} AS {f}_{name}" for f in _functions(rich=rich)]
        if rich:
            columns += [
                f"arg_max(amount, (e.t, e.event_id)) {kept} AS last_{name}",
                f"count(DISTINCT shop) {kept} AS distinct_{name}",
            ]
    _finish(
        db,
        f"""
        SELECT row, {", ".join(columns)} FROM spine LEFT JOIN events AS e
        ON e.entity = spine.entity AND e.t < spine.t AND e.t >= spine.t - {max(windows.values())}
        GROUP BY row
        """,
        windows,
        rich=rich,
    )


def asof(db: duckdb.DuckDBPyConnection) -> None:
    """Join the last event up to t, without a tie-break and in no order."""
    db.execute("""
        CREATE OR REPLACE TABLE features AS
        SELECT row, e.amount / 100 AS amount, e.shop FROM spine ASOF LEFT JOIN events AS e
        ON spine.entity = e.entity AND spine.t >= e.t
    """).fetchall()


def _functions(*, rich: bool) -> tuple[str, ...]:
    return ("count", "sum", "min", "max", *(("stddev_samp",) if rich else ()))


def _frame(width: int) -> str:
    return f"PARTITION BY entity ORDER BY t RANGE BETWEEN {width} PRECEDING AND 1 PRECEDING"


def _finish(
    db: duckdb.DuckDBPyConnection, query: str, windows: dict[str, int], *, rich: bool = False
) -> None:
    """Make the table `features`, with values in the column's unit."""
    columns = ["row"]
    for name in windows:
        columns += [
            f"count_{name}",
            f"CASE WHEN count_{name} > 0 THEN sum_{name} / 100 END AS sum_{name}",
            f"CASE WHEN count_{name} > 0 THEN sum_{name} / (count_{name} * 100) END AS mean_{name}",
            f"min_{name} / 100 AS min_{name}",
            f"max_{name} / 100 AS max_{name}",
        ]
        if rich:
            columns += [
                f"CASE WHEN count_{name} > 1 THEN stddev_samp_{name} / 100 END AS std_{name}",
                f"last_{name} / 100 AS last_{name}",
                f"distinct_{name}",
            ]
    db.execute(f"""
        CREATE OR REPLACE TABLE features AS
        SELECT {", ".join(columns)} FROM ({query}) WHERE row IS NOT NULL
    """).fetchall()
