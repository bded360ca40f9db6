"""Operation of a pipeline's online store: sync, prune, and status."""

import os
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.clock import (
    DAY,
    SECOND,
    duration,
    duration_text,
    iso,
    now_us,
    parse_iso,
    parse_moment,
)
from headrace.core.errors import DeclarationError, StateError
from headrace.core.home import Home
from headrace.lake.tables.lake import Lake
from headrace.pipeline.definition import Pipeline
from headrace.pipeline.serving.services import (
    ONLINE,
    materialise_online,
    online_parts,
    online_store,
    store_exists,
    store_folder,
)

if TYPE_CHECKING:
    from headrace.serving.online import Layout, LmdbStore, Reader, RedisStore

LATENESS = 7 * DAY


def fill(pipeline: Pipeline, home: Home, *, anew: bool = False) -> dict[str, Any]:
    """Update the online store from the published tables; return plain JSON values.

    `missing` lists tables that views read but that were never published; until all are published,
    requests are refused.
    """
    update = materialise_online(pipeline, home, anew=anew)
    layout = _layout(pipeline)
    return {
        "pipeline": pipeline.name,
        "store": _place(pipeline, home, layout),
        "tables": [
            {
                "table": table,
                "snapshot_id": update.snapshots[table],
                "rows": update.rows[table],
                "keys_renewed": update.renewed[table],
            }
            for table in update.snapshots
        ],
        "missing": [table for table in layout.tables if table not in update.snapshots],
    }


def thin(
    pipeline: Pipeline,
    home: Home,
    *,
    keep: str | None = None,
    before: str | None = None,
    lateness: str | None = None,
) -> dict[str, Any]:
    """Prune history that only requests for earlier times need; return plain JSON values.

    Args:
        pipeline: its store is pruned.
        home: where it is.
        keep: how far back from now requests must remain answerable, such as "7d".
        before: instead of `keep`, the earliest time that requests may ask for, RFC 3339 or a day.
        lateness: how late a correction may arrive; default: the present setting, initially 7 days.

    Raises:
        DeclarationError: not exactly one of `keep` and `before` is given, or `before` is in the
            future.
        StateError: the store is empty.
        HeadraceError: an earlier call pruned history after this time, or with a smaller lateness.
    """
    from headrace.serving.online import retain, store_metadata

    frontier = _moment(keep, before)
    layout = _layout(pipeline)
    if not store_exists(pipeline, home):
        raise _not_filled(pipeline)
    with closing(online_store(pipeline, home)) as store:
        with store.reading() as reader:
            if not any(store_metadata.read_files(reader, table) for table in layout.tables):
                raise _not_filled(pipeline)
            horizon = store_metadata.read_horizon(reader)
        current = LATENESS if horizon is None else horizon.lateness
        bound = current if lateness is None else _age(lateness, "lateness")
        used = store.used
        pruned = retain(store, layout, frontier, lateness=bound)
        return {
            "pipeline": pipeline.name,
            "answers_from": iso(frontier),
            "lateness": duration_text(bound),
            "dropped": {"records": pruned.records, "keys": pruned.keys, "texts": pruned.texts},
            "bytes_used_before": used,
            "bytes_used": store.used,
        }


def online_status(pipeline: Pipeline, home: Home, *, count: bool = False) -> dict[str, Any]:
    """Return the content of the store and its lag, as plain JSON values.

    Args:
        pipeline: its store is read.
        home: where it is.
        count: True to count keys and entities as well, which reads the whole store.

    Returns:
        One mapping. `state` is `not filled`, `filling` or `filled`; `problems` lists, as
        sentences, the problems that need attention.
    """
    from headrace.serving.online import LmdbStore

    layout, now = _layout(pipeline), now_us()
    folder = store_folder(pipeline, home, layout)
    status: dict[str, Any] = {
        "pipeline": pipeline.name,
        "store": _place(pipeline, home, layout),
        "state": "not filled",
        "bytes": 0,
        "bytes_used": 0,
        "answers_from": None,
        "lateness": None,
        "thinned_at": None,
        "tables": [],
        "views": [],
        "older_stores": _older(pipeline, home),
        "problems": [],
    }
    if not store_exists(pipeline, home):
        return status
    with closing(online_store(pipeline, home)) as store, store.reading() as reader:
        status |= _store_facts(store, reader)
        status["bytes"] = _size(folder) if isinstance(store, LmdbStore) else store.used
        lake = Lake(home)
        tables = {table: _table(lake, reader, table, now) for table in layout.tables}
        if count:
            for table in layout.tables:
                tables[table] |= _counted(reader, layout, table)
    status["tables"] = list(tables.values())
    status["views"] = _views(pipeline, tables, now)
    complete = all(table["snapshot_id"] is not None for table in tables.values())
    any_files = any(table["files"] for table in tables.values())
    status["state"] = "filled" if complete else "filling" if any_files else "not filled"
    return {**status, "problems": _problems(status)}


def _store_facts(store: "LmdbStore | RedisStore", reader: "Reader") -> dict[str, Any]:
    from headrace.serving.online import store_metadata
    from headrace.serving.online.retention import last_thinned

    horizon, thinned = store_metadata.read_horizon(reader), last_thinned(reader)
    return {
        "bytes_used": store.used,
        "answers_from": None if horizon is None else iso(horizon.retained),
        "lateness": None if horizon is None else duration_text(horizon.lateness),
        "thinned_at": None if thinned is None else iso(thinned),
    }


def _table(lake: Lake, reader: "Reader", table: str, now: int) -> dict[str, Any]:
    from headrace.serving.online import store_metadata
    from headrace.serving.online.commits import file_name

    plan = lake.plan(table)
    live = {file_name(file): file.rows for file in plan.files} if plan else {}
    commits = plan.committed_at if plan else {}
    applied = set(store_metadata.read_files(reader, table))
    frontier = store_metadata.read_frontier(reader, table) or {}
    snapshot, as_of = frontier.get("snapshot_id"), frontier.get("as_of")
    oldest = min(commits.values(), default=now)
    applied_at = oldest - 1 if snapshot is None else commits.get(snapshot, oldest - 1)
    later = sorted(at for at in commits.values() if at > applied_at)
    return {
        "table": table,
        "snapshot_id": snapshot,
        "committed_at": iso(commits[snapshot]) if snapshot in commits else None,
        "as_of": None if as_of is None else iso(as_of),
        "age_seconds": None if as_of is None else round((now - as_of) / SECOND, 3),
        "files": len(applied),
        "rows": sum(rows for name, rows in live.items() if name in applied),
        "behind": {
            "commits": len(later),
            "seconds": round((now - later[0]) / SECOND, 3) if later else 0.0,
            "files": len(set(live) - applied),
            "rows": sum(rows for name, rows in live.items() if name not in applied),
            "gone": len(applied - set(live)),
        },
    }


def _counted(reader: "Reader", layout: "Layout", table: str) -> dict[str, int]:
    joins = layout.joins_of(table)
    keys = _entries(reader, [b"v%02x" % layout.tables[table].number])
    return {"keys": keys, "entities": _entries(reader, [b"e" + join.prefix for join in joins])}


def _entries(reader: "Reader", prefixes: Iterable[bytes]) -> int:
    return sum(1 for prefix in prefixes for _ in reader.scan(prefix))


def _views(
    pipeline: Pipeline, tables: Mapping[str, Mapping[str, Any]], now: int
) -> list[dict[str, Any]]:
    from headrace.features.spec import RowTransform

    views = []
    for view in pipeline.views:
        if isinstance(view, RowTransform):
            continue
        as_of = tables[view.table]["as_of"]
        age = None if as_of is None else now - parse_iso(as_of)
        limits = {
            limit.then: limit.at_most for limit in pipeline.max_staleness if limit.view == view.name
        }
        over = [then for then, limit in limits.items() if age is None or age > duration(limit)]
        views.append(
            {
                "view": view.name,
                "table": view.table,
                "snapshot_id": tables[view.table]["snapshot_id"],
                "max_staleness": limits,
                "stale": "refuse" if "refuse" in over else "flag" if over else "",
            }
        )
    return views


def _problems(status: Mapping[str, Any]) -> list[str]:
    problems, fill_it = [], f"headrace online sync {status['pipeline']}"
    if status["state"] == "filling":
        lacking = [entry["table"] for entry in status["tables"] if entry["snapshot_id"] is None]
        problems.append(f"requests are refused until {', '.join(lacking)} is complete: {fill_it}")
    for entry in status["tables"]:
        if entry["behind"]["gone"] and entry["snapshot_id"] is not None:
            stale_files = entry["behind"]["gone"]
            problems.append(
                f"{entry['table']}: the store still has rows of {stale_files} recalled or"
                f" rewritten files: {fill_it}"
            )
    for entry in status["views"]:
        if entry["stale"] and status["state"] != "not filled":
            effect = {"flag": "flagged", "refuse": "refused"}[entry["stale"]]
            limit = entry["max_staleness"][entry["stale"]]
            problems.append(f"view {entry['view']} is older than {limit} and {effect}: {fill_it}")
    return problems


def _moment(keep: str | None, before: str | None) -> int:
    if (keep is None) == (before is None):
        raise DeclarationError(
            "keep and before are both missing" if keep is None else "keep and before are both set",
            where="pruning the online store",
            fix="--keep 7d, or --before 2024-03-01",
        )
    now = now_us()
    if keep is not None:
        return now - _age(keep, "keep")
    moment = parse_moment(str(before), "--before")
    if moment > now:
        raise DeclarationError(
            f"{before} is in the future: no present request could be answered",
            fix="give a time up to now",
        )
    return moment


def _age(text: str, what: str) -> int:
    age = duration(text)
    if age < 0:
        raise DeclarationError(f"{what} {text!r} is negative", fix="write a duration such as 7d")
    return age


def _layout(pipeline: Pipeline) -> "Layout":
    from headrace.serving.online import layout_of

    return layout_of(pipeline.views, pipeline.contracts, pipeline.mode)


def _not_filled(pipeline: Pipeline) -> StateError:
    return StateError(
        f"the online store of {pipeline.name} is not filled",
        where="online store",
        fix=f"headrace online sync {pipeline.name}",
    )


def _place(pipeline: Pipeline, home: Home, layout: "Layout") -> str:
    """Return the store's folder or Redis key prefix; the server's address may hold a password."""
    if os.environ.get(ONLINE):
        return f"redis: headrace:online:{pipeline.name}:{layout.name}"
    return str(store_folder(pipeline, home, layout))


def _older(pipeline: Pipeline, home: Home) -> list[dict[str, Any]]:
    """Return the pipeline's old stores, which the present views do not use."""
    parts = online_parts(pipeline.full_pipeline)
    used = {store_folder(part, home, _layout(part)) for part in parts}
    files = sorted(store_folder(pipeline, home, _layout(pipeline)).parent.glob("*/data.mdb"))
    return [
        {"store": str(other.parent), "bytes": _size(other.parent)}
        for other in files
        if other.parent not in used
    ]


def _size(folder: Path) -> int:
    """Return the disk usage of the store's file, which is sparse, in bytes."""
    return (folder / "data.mdb").stat().st_blocks * 512
