"""`headrace dataset erase` and `retire`: rows, and releases, that must be gone."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Who = Annotated[
    str | None,
    typer.Option("--as", help="Who acts; HEADRACE_PRINCIPAL, or the user of this machine."),
]


@explained
def erase(
    *,
    entity: Annotated[
        list[str] | None,
        typer.Option(
            "--entity",
            "--key",
            help="NAME=VALUE, a column of releases and whom it names; repeat it for a key of"
            " several columns, all of which must match.",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", "-m", help="Why, without naming anybody; kept for good.")
    ] = "",
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="Only of this dataset; repeat it.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would reach, and stop.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Finish all erasures on the record; names nobody.")
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option("--list", help="Show the erasures on the record, and check their proofs."),
    ] = False,
    scan: Annotated[
        bool, typer.Option(help="Search the files of store and home for the value afterwards.")
    ] = True,
    who: Who = None,
    as_json: Json = False,
) -> None:
    r"""Erase a person (or any key) from every release: rows, objects, statistics, fits.

        headrace dataset erase --entity customer_id=4711 --reason "case 2026-118, on request"

    Every release that holds such rows is replaced by one without them, which is proven by
    subtraction of content hashes. The old one refuses to open, and cannot be made again. Whoever is
    erased stays out of all releases to come. It needs the privacy key: HEADRACE_PRIVACY_KEY_FILE.

    The tables that releases are made of keep the rows until their source deletes them, and models
    keep what they learnt: both are listed. Cut short, the same command again brings it to its end.

    Exit code 1: the value still stands somewhere in the store, a proof does not hold, or no release
    could be searched by the column.
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations import erasure

    home = Home.find()
    if ledger or resume:
        found = erasure.finish_all(home) if resume else {"erasures": erasure.listed(home)}
        _tell_ledger(found, as_json=as_json)
        return
    named = dict(part.split("=", 1) for part in entity or () if "=" in part)
    if len(named) != len(entity or ()) or not named:
        raise DeclarationError(
            f"{' '.join(entity or ()) or 'nothing'} names no column and value",
            fix="--entity customer_id=4711",
        )
    with progress(quiet=as_json):
        done = erasure.erase(
            home,
            named,
            principal=acting(who),
            reason=reason or ("looking" if dry_run else ""),
            datasets=dataset or None,
            dry_run=dry_run,
            scan=scan,
        )
    if as_json:
        emit_json(done)
    else:
        _tell(done)
    # Where nothing could be searched the column is misspelt, as a rule: that is no "done".
    if done["unsearched"] and not done["searched"]:
        raise typer.Exit(BLOCKED)
    if not dry_run and (done["remains"] or any(one["problem"] for one in done["proofs"])):
        raise typer.Exit(BLOCKED)


def _tell(done: Mapping[str, Any]) -> None:
    _tell_planned(done) if done["dry_run"] else _tell_done(done)
    for ref in done["unsearched"]:
        wanted = ", ".join(done["columns"])
        _warn(
            f"{ref} has no {wanted} as text, whole numbers, or pseudonyms of a key that is given:"
            " not searched"
        )
    for one in done["models"]:
        more = ", in charge" if one["champion"] else ""
        more += "; its files name the value: retrain, then remove the bundle" * one["names_it"]
        _warn(f"model {one['ref']} was trained on {one['dataset']}{more}")
    for one in () if done["dry_run"] else done["remains"] or ():
        out.print(Text(f"  STILL in the store: {one['path']} {one['column']}", "bold red"))
    for one in done["elsewhere"] or ():
        _warn(f"not erased, in the home: {one['files']:,} files of {one['area']} ({one['first']})")


def _tell_planned(done: Mapping[str, Any]) -> None:
    for one in done["releases"]:
        rows = ", ".join(f"{split} {count:,}" for split, count in one["rows"].items())
        out.print(Text(f"{one['ref']} holds it: {rows} of {one['of']:,} rows"))
    out.print("nothing was changed" if done["releases"] else _nobody(done))


def _tell_done(done: Mapping[str, Any]) -> None:
    for one in done["replaced"]:
        told = f"{one['old']} is now {one['new']}, without {one['erased']:,} rows"
        out.print(Text(told, "bold"))
    for one in done["proofs"]:
        ok = not one["problem"]
        said = "proven by subtraction" if ok else f"NOT PROVEN: {one['problem']}"
        text = f"  {one['old']} - {one['rows']:,} rows = {one['new']}: {said}"
        out.print(Text(text, "green" if ok else "bold red"), soft_wrap=True)
    if not done["replaced"]:
        out.print(_nobody(done))


def _nobody(done: Mapping[str, Any]) -> Text:
    if done["unsearched"] and not done["searched"]:
        names = ", ".join(done["columns"])
        return Text(f"NOT SEARCHED: no release can be searched by {names}", "bold red")
    return Text("no release holds it (any more)")


def _warn(text: str) -> None:
    out.print(Text(f"  {text}", "yellow"), soft_wrap=True)


def _tell_ledger(found: Mapping[str, Any], *, as_json: bool) -> None:
    broken = [proof for one in found["erasures"] for proof in one["proofs"] if proof["problem"]]
    if as_json:
        emit_json(found)
    else:
        grid(
            "erasures",
            ["id", "columns", "when", "who", "reason", "replaced", "proofs", "models"],
            [
                [
                    one["id"][:12],
                    ", ".join(one["columns"]),
                    one["at"][:19],
                    one["principal"],
                    one["reason"],
                    ", ".join(f"{old} → {new}" for old, new in one["replaced"].items()),
                    "broken" if any(p["problem"] for p in one["proofs"]) else "hold",
                    ", ".join(one["models"]),
                ]
                for one in found["erasures"]
            ],
        )
    if broken:
        raise typer.Exit(BLOCKED)


@explained
def retire(
    ref: Annotated[
        str | None, typer.Argument(help="A release by its version: flights_delay@1.0.0.")
    ] = None,
    *,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; it is kept for good.")] = "",
    expired: Annotated[
        bool, typer.Option("--expired", help="All releases whose retention has run out.")
    ] = False,
    who: Who = None,
    as_json: Json = False,
) -> None:
    """Take a release away for good: manifest, objects that no other shares, pinned snapshots.

    What stays is a tombstone with its content hash, who retired it, and why. Its version is never
    given again, and it cannot be made again. With --expired, all that may be kept no longer.
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations.retirement import retire as take_away

    done = take_away(Home.find(), ref, principal=acting(who), reason=reason, expired=expired)
    if as_json:
        emit_json({"retired": done})
        return
    for one in done:
        out.print(Text(f"{one['ref']} is retired: {one['reason']}", "bold"), soft_wrap=True)
    if not done:
        out.print("no release is past its retention")
