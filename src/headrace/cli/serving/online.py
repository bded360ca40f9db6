"""`headrace online`: fill the online store, thin it, and see how far behind it is."""

from typing import Annotated, Any

import typer

from headrace.cli.output import BLOCKED, emit_json, err, explained, grid, out, progress
from headrace.cli.shared import pipelines, stopped_by_signals

app = typer.Typer(
    help="The online store, which answers for one entity in microseconds.", no_args_is_help=True
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Name = Annotated[str | None, typer.Argument(help="A pipeline; all of them if left out.")]


@app.command("fill")
@explained
def fill(
    pipeline: Name = None,
    *,
    every: Annotated[
        str | None,
        typer.Option(help="Again after so long, such as 30s, until SIGTERM or Ctrl-C."),
    ] = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Forget all it holds first; what was thinned comes back."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the online store up to what is published, commit by commit.

    Only files that came or went since the last time are read; running it again is safe and cheap. A
    server may answer from the store meanwhile: it sees each commit whole or not at all. What was
    killed goes on where it was. Rows of a recalled batch leave.

    Exit code 1: a table of the views has nothing published, so that nothing can be answered yet.

    `headrace serve --store store` answers from it. Keep it fresh with --every, or with the Dagster
    job `online`.
    """
    from headrace.core.clock import SECOND, duration
    from headrace.core.home import Home
    from headrace.operations.online_store import fill as bring_up

    home, chosen = Home.find(), pipelines(pipeline)
    pause = None if every is None else duration(every) / SECOND
    stop = stopped_by_signals() if every else None
    while True:
        with progress(quiet=as_json):
            done = [bring_up(one, home, anew=anew) for one in chosen]
        if as_json:
            emit_json({"stores": done})
        else:
            _tell(done)
        if stop is None or stop.wait(pause):
            break
        anew = False
    if any(one["missing"] for one in done):
        raise typer.Exit(BLOCKED)


@app.command("thin")
@explained
def thin(
    pipeline: Name = None,
    *,
    keep: Annotated[
        str | None, typer.Option(help="Answers must reach back so far from now, such as 7d.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Or: no answers before this moment, such as 2024-03-01.")
    ] = None,
    lateness: Annotated[
        str | None,
        typer.Option(
            help="Remember keys for so much longer; a correction that comes later costs a look"
            " into its table. As before if left out, 7d at first."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Drop from the online store what no answer from a moment on can need.

    What stays is all that the views' windows reach from that moment. Earlier moments are refused
    from then on; the published tables still answer for them (`headrace serve --store tables`), and
    `headrace online fill --anew` brings everything back. The file does not shrink: its free space
    is used again.
    """
    from headrace.core.home import Home
    from headrace.operations.online_store import thin as drop

    home = Home.find()
    done = [
        drop(one, home, keep=keep, before=before, lateness=lateness) for one in pipelines(pipeline)
    ]
    if as_json:
        emit_json({"stores": done})
        return
    for one in done:
        dropped = one["dropped"]
        out.print(
            f"{one['pipeline']}: answers from {one['answers_from']} on; dropped"
            f" {dropped['records']:,} records, {dropped['keys']:,} keys,"
            f" {dropped['texts']:,} texts;"
            f" {_size(one['bytes_used_before'])} became {_size(one['bytes_used'])}",
            highlight=False,
            soft_wrap=True,
        )


@app.command("status")
@explained
def status(
    pipeline: Name = None,
    *,
    count: Annotated[
        bool, typer.Option("--count", help="Count keys and entities too; reads the whole store.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which commit of each table the online store holds, and how far behind that is.

    `looked` is how long ago it held all that was published; a view's `max_staleness` is measured by
    that. Exit code 1: look at a problem, such as a view that is staler than its pipeline declares.
    """
    from headrace.core.home import Home
    from headrace.operations.online_store import online_status

    home = Home.find()
    found = [online_status(one, home, count=count) for one in pipelines(pipeline)]
    if as_json:
        emit_json({"stores": found})
    else:
        for one in found:
            _show(one, count=count)
    if any(one["problems"] for one in found):
        raise typer.Exit(BLOCKED)


def _tell(done: list[dict[str, Any]]) -> None:
    for one in done:
        told = ", ".join(
            f"{table['table']} {table['rows']:,}"
            + (f" ({table['keys_renewed']:,} keys renewed)" if table["keys_renewed"] else "")
            for table in one["tables"]
        )
        if told:
            out.print(f"{one['pipeline']}: new rows of {told}", highlight=False)
        if one["missing"]:
            names = ", ".join(one["missing"])
            err.print(
                f"nothing of {names} is published, and nothing is answered before it is:"
                f" headrace run {one['pipeline']}",
                style="red",
                highlight=False,
                soft_wrap=True,
            )


def _show(one: dict[str, Any], *, count: bool) -> None:
    if one["state"] == "not filled":
        out.print(f"{one['pipeline']}: not filled. headrace online fill {one['pipeline']}")
        return
    thinned = f"thinned {one['thinned_at'][:19]}" if one["thinned_at"] else "never thinned"
    answers = f"answers from {one['answers_from']}" if one["answers_from"] else "answers any moment"
    out.print(
        f"{one['pipeline']}: {one['state']}, {answers}, {thinned},"
        f" {_size(one['bytes_used'])} in use of {_size(one['bytes'])} on disk",
        highlight=False,
        soft_wrap=True,
    )
    more = ["keys", "entities"] if count else []
    grid(
        "tables",
        ["table", "commit", "looked, s ago#", "rows#", *(f"{name}#" for name in more),
         "behind: commits#", "files#", "rows#", "s#"],
        [
            [
                table["table"],
                str(table["snapshot_id"] or ""),
                table["age_seconds"] if table["age_seconds"] is None else int(table["age_seconds"]),
                table["rows"],
                *(table[name] for name in more),
                *(table["behind"][name] for name in ("commits", "files", "rows")),
                int(table["behind"]["seconds"]),
            ]
            for table in one["tables"]
        ],
    )  # fmt: skip
    grid(
        "views",
        ["view", "table", "max_staleness", "stale"],
        [
            [
                view["view"],
                view["table"],
                ", ".join(f"{most}: {then}" for then, most in view["max_staleness"].items()),
                {"flag": "flagged", "refuse": "refused"}.get(view["stale"], ""),
            ]
            for view in one["views"]
        ],
    )
    for old in one["older_stores"]:
        err.print(
            f"of other views, and not used by these: {old['store']}, {_size(old['bytes'])};"
            " delete the folder once no server of that revision runs",
            highlight=False,
            soft_wrap=True,
        )
    for problem in one["problems"]:
        err.print(problem, style="red", highlight=False, soft_wrap=True)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
