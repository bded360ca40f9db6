"""`headrace online`: sync of the online store with the tables, pruning, and status."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.cli.commands import CommandGroup
from headrace.cli.options import AnyPipeline, AsJson
from headrace.cli.output import BLOCKED, emit_json, err, explained, grid, out, progress
from headrace.cli.shared import pipelines, stopped_by_signals

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline

app = CommandGroup(
    help="Online store, which answers requests for features of one entity in microseconds.",
    no_args_is_help=True,
)


@app.command("sync")
@explained
def sync(
    pipeline: AnyPipeline = None,
    *,
    interval: Annotated[
        str | None,
        typer.Option(
            "--every", help="Repeat at this interval, such as 30s, until SIGTERM or Ctrl-C."
        ),
    ] = None,
    full_refresh: Annotated[
        bool,
        typer.Option(
            "--full-refresh", help="Rebuild the store from the beginning, pruned history included."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Sync the online store with the published tables, commit by commit.

    The sync reads only files added or removed since the last sync, so running it again is safe and
    cheap. A server can answer from the store meanwhile: it sees each commit completely or not at
    all. An interrupted sync continues where it stopped. Rows of a recalled batch are removed.

    Exit code 1: a table of the views has no published rows, so no request can be answered yet.

    `headrace serve --backend store` answers from the store. Keep the store fresh with --every, or
    with Dagster's job `online`.

    For example:

      headrace online sync flights --every 30s
    """
    from headrace.core.clock import SECOND, duration
    from headrace.core.home import Home
    from headrace.operations.online_store import fill as bring_up

    home, selected = Home.find(), _with_stores(pipeline)
    pause = None if interval is None else duration(interval) / SECOND
    stop = stopped_by_signals() if interval else None
    while True:
        with progress(quiet=as_json):
            synced = [
                bring_up(each_pipeline, home, anew=full_refresh) for each_pipeline in selected
            ]
        if as_json:
            emit_json({"stores": synced})
        else:
            _print_synced(synced)
        if stop is None or stop.wait(pause):
            break
        full_refresh = False
    if any(store["missing"] for store in synced):
        raise typer.Exit(BLOCKED)


@app.command("prune")
@explained
def prune(
    pipeline: AnyPipeline = None,
    *,
    keep: Annotated[
        str | None,
        typer.Option(help="Keep the history for requests that are at most this old, such as 7d."),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(help="Or drop the history for requests before this time: 2024-03-01."),
    ] = None,
    lateness: Annotated[
        str | None,
        typer.Option(
            help="Keep keys this much longer for late corrections; a later correction rebuilds its"
            " key from the table. Default: unchanged; 7d at first."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prune history that is not needed to answer requests after a given time.

    All data in the views' windows at that time or later is kept. The store refuses requests for
    earlier times; the published tables still answer them (`headrace serve --backend tables`), and
    `headrace online sync --full-refresh` restores the history. The store's file does not shrink:
    its free space is reused.

    For example:

      headrace online prune flights --keep 7d
    """
    from headrace.core.home import Home
    from headrace.operations.online_store import thin as drop

    home = Home.find()
    pruned = [
        drop(each_pipeline, home, keep=keep, before=before, lateness=lateness)
        for each_pipeline in _with_stores(pipeline)
    ]
    if as_json:
        emit_json({"stores": pruned})
        return
    for store in pruned:
        dropped = store["dropped"]
        out.print(
            f"{store['pipeline']}: answers from {store['answers_from']} on; dropped"
            f" {dropped['records']:,} records, {dropped['keys']:,} keys,"
            f" {dropped['texts']:,} texts;"
            f" {_size(store['bytes_used_before'])} became {_size(store['bytes_used'])}",
            highlight=False,
            soft_wrap=True,
        )


@app.command("status")
@explained
def status(
    pipeline: AnyPipeline = None,
    *,
    count: Annotated[
        bool,
        typer.Option("--count", help="Count keys and entities as well; reads the whole store."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show which commit of each table the online store contains, and how far the store is behind.

    `synced` is the time since the store last contained all published rows. Exit code 1: there is a
    problem, such as a view for which this time exceeds `max_staleness`.
    """
    from headrace.core.home import Home
    from headrace.operations.online_store import online_status

    home = Home.find()
    stores = [
        online_status(each_pipeline, home, count=count) for each_pipeline in _with_stores(pipeline)
    ]
    if as_json:
        emit_json({"stores": stores})
    else:
        for store in stores:
            _show(store, count=count)
    if any(store["problems"] for store in stores):
        raise typer.Exit(BLOCKED)


def _with_stores(name: str | None) -> "list[Pipeline]":
    """Return a pipeline for each online store of the selected pipelines."""
    from headrace.pipeline.serving.services import online_parts

    return [part for pipeline in pipelines(name) for part in online_parts(pipeline)]


def _print_synced(stores: list[dict[str, Any]]) -> None:
    for store in stores:
        rows = ", ".join(
            f"{table['table']} {table['rows']:,}"
            + (f" ({table['keys_renewed']:,} keys renewed)" if table["keys_renewed"] else "")
            for table in store["tables"]
        )
        if rows:
            out.print(f"{store['pipeline']}: new rows of {rows}", highlight=False)
        if store["missing"]:
            names = ", ".join(store["missing"])
            err.print(
                f"no rows of {names} are published, so no request can be answered yet:"
                f" headrace run {store['pipeline']}",
                style="red",
                highlight=False,
                soft_wrap=True,
            )


def _show(store: dict[str, Any], *, count: bool) -> None:
    if store["state"] == "not filled":
        name = store["pipeline"]
        out.print(f"{name}: the store is empty; to fill it: headrace online sync {name}")
        return
    thinned = f"pruned {store['thinned_at'][:19]}" if store["thinned_at"] else "never pruned"
    answers = (
        f"answers from {store['answers_from']}" if store["answers_from"] else "answers any time"
    )
    out.print(
        f"{store['pipeline']}: {store['state']}, {answers}, {thinned},"
        f" {_size(store['bytes_used'])} in use of {_size(store['bytes'])} on disk",
        highlight=False,
        soft_wrap=True,
    )
    counts = ["keys", "entities"] if count else []
    grid(
        "tables",
        ["table", "commit", "synced, s ago#", "rows#", *(f"{name}#" for name in counts),
         "behind: commits#", "files#", "rows#", "s#"],
        [
            [
                table["table"],
                str(table["snapshot_id"] or ""),
                table["age_seconds"] if table["age_seconds"] is None else int(table["age_seconds"]),
                table["rows"],
                *(table[name] for name in counts),
                *(table["behind"][name] for name in ("commits", "files", "rows")),
                int(table["behind"]["seconds"]),
            ]
            for table in store["tables"]
        ],
    )  # fmt: skip
    grid(
        "views",
        ["view", "table", "max_staleness", "stale"],
        [
            [
                view["view"],
                view["table"],
                ", ".join(f"{limit}: {then}" for then, limit in view["max_staleness"].items()),
                {"flag": "flagged", "refuse": "refused"}.get(view["stale"], ""),
            ]
            for view in store["views"]
        ],
    )
    for old in store["older_stores"]:
        err.print(
            f"unused store of other view definitions: {old['store']}, {_size(old['bytes'])};"
            " delete the folder once no server with those definitions runs",
            highlight=False,
            soft_wrap=True,
        )
    for problem in store["problems"]:
        err.print(problem, style="red", highlight=False, soft_wrap=True)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
