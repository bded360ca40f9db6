"""`headrace dataset erase` and `retire`: erasure of rows, and deletion of releases."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson, DryRun, Principal, Reason
from headrace.cli.output import BLOCKED, emit_json, explained, grid, out, progress


@explained
def erase(
    *,
    entity: Annotated[
        list[str] | None,
        typer.Option(
            "--entity",
            "--key",
            help="COLUMN=VALUE of the rows to erase; repeat the option for a key of several"
            " columns: all of them must match.",
        ),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", "-m", help="Reason, without personal data; kept permanently.")
    ] = "",
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="Only this dataset; may be repeated.")
    ] = None,
    dry_run: DryRun = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Complete all recorded erasures; needs no --entity.")
    ] = False,
    ledger: Annotated[
        bool,
        typer.Option("--list", help="List the recorded erasures and verify their proofs."),
    ] = False,
    scan: Annotated[
        bool, typer.Option(help="Then search the files of the store and the home for the value.")
    ] = True,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """Erase a person (or any key) from every release: rows, objects, statistics, fitted transforms.

    Every release that contains such rows is replaced by a successor without them; subtraction of
    content hashes proves that nothing else changed. The original can no longer be opened or
    rebuilt. Later releases exclude the erased key. The command needs the privacy key,
    HEADRACE_PRIVACY_KEY_FILE.

    Source tables keep the rows until their source deletes them, and models trained on the rows are
    not changed: the output lists both. Run an interrupted erasure again to complete it.

    Exit code 1: the value is still in the store, a proof does not hold, or no release could be
    searched by the column.

    For example:

      headrace dataset erase --entity customer_id=4711 --reason "case 2026-118, on request"
    """
    from headrace.core.errors import DeclarationError
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations import erasure

    home = Home.find()
    if ledger or resume:
        record = erasure.finish_all(home) if resume else {"erasures": erasure.listed(home)}
        _tell_ledger(record, as_json=as_json)
        return
    key = dict(part.split("=", 1) for part in entity or () if "=" in part)
    if len(key) != len(entity or ()) or not key:
        raise DeclarationError(
            f"{' '.join(entity or ()) or 'nothing'} is not COLUMN=VALUE",
            fix="--entity customer_id=4711",
        )
    with progress(quiet=as_json):
        erased = erasure.erase(
            home,
            key,
            principal=acting(principal),
            reason=reason or ("looking" if dry_run else ""),
            datasets=dataset or None,
            dry_run=dry_run,
            scan=scan,
        )
    if as_json:
        emit_json(erased)
    else:
        _print_erasure(erased)
    # If no release could be searched, the column is probably misspelt: this must not be a success.
    if erased["unsearched"] and not erased["searched"]:
        raise typer.Exit(BLOCKED)
    if not dry_run and (erased["remains"] or any(proof["problem"] for proof in erased["proofs"])):
        raise typer.Exit(BLOCKED)


def _print_erasure(erased: Mapping[str, Any]) -> None:
    _print_planned(erased) if erased["dry_run"] else _print_result(erased)
    for ref in erased["unsearched"]:
        columns = ", ".join(erased["columns"])
        _warn(
            f"not searched: {ref} has no {columns} as text, whole numbers, or pseudonyms made with"
            " a known key"
        )
    for model in erased["models"]:
        note = ", the champion" if model["champion"] else ""
        note += "; its files contain the value: retrain, then remove the bundle" * model["names_it"]
        _warn(f"model {model['ref']} was trained on {model['dataset']}{note}")
    for match in () if erased["dry_run"] else erased["remains"] or ():
        out.print(Text(f"  STILL in the store: {match['path']} {match['column']}", "bold red"))
    for area in erased["elsewhere"] or ():
        _warn(
            f"not erased, in the home: {area['files']:,} files of {area['area']} ({area['first']})"
        )


def _print_planned(planned: Mapping[str, Any]) -> None:
    for release in planned["releases"]:
        rows = ", ".join(f"{split} {count:,}" for split, count in release["rows"].items())
        out.print(Text(f"{release['ref']} contains it: {rows} of {release['of']:,} rows"))
    out.print("nothing was changed" if planned["releases"] else _nobody(planned))


def _print_result(erased: Mapping[str, Any]) -> None:
    for release in erased["replaced"]:
        text = f"{release['old']} is now {release['new']}, without {release['erased']:,} rows"
        out.print(Text(text, "bold"))
    for proof in erased["proofs"]:
        ok = not proof["problem"]
        verdict = "proven by subtraction" if ok else f"NOT PROVEN: {proof['problem']}"
        text = f"  {proof['old']} - {proof['rows']:,} rows = {proof['new']}: {verdict}"
        out.print(Text(text, "green" if ok else "bold red"), soft_wrap=True)
    if not erased["replaced"]:
        out.print(_nobody(erased))


def _nobody(erased: Mapping[str, Any]) -> Text:
    if erased["unsearched"] and not erased["searched"]:
        names = ", ".join(erased["columns"])
        return Text(f"NOT SEARCHED: no release can be searched by {names}", "bold red")
    return Text("no release contains it")


def _warn(text: str) -> None:
    out.print(Text(f"  {text}", "yellow"), soft_wrap=True)


def _tell_ledger(record: Mapping[str, Any], *, as_json: bool) -> None:
    broken = [
        proof for erasure in record["erasures"] for proof in erasure["proofs"] if proof["problem"]
    ]
    if as_json:
        emit_json(record)
    else:
        grid(
            "erasures",
            ["id", "columns", "when", "who", "reason", "replaced", "proofs", "models"],
            [
                [
                    erasure["id"][:12],
                    ", ".join(erasure["columns"]),
                    erasure["at"][:19],
                    erasure["principal"],
                    erasure["reason"],
                    ", ".join(f"{old} → {new}" for old, new in erasure["replaced"].items()),
                    "broken" if any(p["problem"] for p in erasure["proofs"]) else "hold",
                    ", ".join(erasure["models"]),
                ]
                for erasure in record["erasures"]
            ],
        )
    if broken:
        raise typer.Exit(BLOCKED)


@explained
def retire(
    ref: Annotated[
        str | None, typer.Argument(help="Release by its version: flights_delay@1.0.0.")
    ] = None,
    *,
    reason: Reason = "",
    expired: Annotated[
        bool, typer.Option("--expired", help="Retire all releases past their retention.")
    ] = False,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    """Delete a release permanently: manifest, objects that no other release uses, pinned snapshots.

    A tombstone remains: the content hash, the user who retired the release, and the reason. The
    version number is never reused, and the release cannot be rebuilt.

    For example:

      headrace dataset retire flights_delay@1.0.0 --reason "licence ended"
    """
    from headrace.core.home import Home
    from headrace.core.permissions import acting
    from headrace.operations.retirement import retire as take_away

    retired = take_away(
        Home.find(), ref, principal=acting(principal), reason=reason, expired=expired
    )
    if as_json:
        emit_json({"retired": retired})
        return
    for release in retired:
        out.print(Text(f"{release['ref']} is retired: {release['reason']}", "bold"), soft_wrap=True)
    if not retired:
        out.print("no release is past its retention")
