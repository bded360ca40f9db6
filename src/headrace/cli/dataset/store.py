"""`headrace dataset pull`, `verify`, `gc`: copy, integrity check and garbage collection."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.options import AsJson, DryRunFirst
from headrace.cli.output import BLOCKED, emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.datasets.store.verify import Verification

_LISTED = 20


@explained
def pull(
    ref: Annotated[
        str, typer.Argument(help="Release: flights_delay@1.0.0, or flights_delay@champion.")
    ],
    *,
    to: Annotated[
        str, typer.Option("--out", help="Folder or s3://bucket/prefix, which becomes a store.")
    ],
    as_json: AsJson = False,
) -> None:
    """Copy a release with everything it needs into another store, verifying every object.

    An interrupted copy continues with the same command; existing objects are not copied again. Open
    the copy with `headrace.open(ref, store=...)`, or set HEADRACE_STORE.

    For example:

      headrace dataset pull flights_delay@champion --out s3://bucket/datasets
    """
    from headrace.datasets.store.pull import pull as copy

    with progress(quiet=as_json):
        copied = copy(ref, to)
    if as_json:
        emit_json(copied.to_json())
        return
    out.print(
        f"{copied.ref} is in {copied.to}: {copied.copied:,} of {copied.objects:,} objects copied, "
        f"{copied.bytes / 1e6:,.1f} MB"
        + ("; the others existed" * (copied.copied < copied.objects)),
        highlight=False,
        soft_wrap=True,
    )


@explained
def verify(
    ref: Annotated[str | None, typer.Argument(help="Release; or use --all.")] = None,
    *,
    whole_store: Annotated[
        bool, typer.Option("--all", help="Verify every release in the store.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read every byte of a release and compare it with its manifest.

    It verifies object bytes, file footers, columns, order and splits of the rows, their sums, the
    content hash and the id of the manifest. Exit code 1: something differs from the manifest.

    For example:

      headrace dataset verify --all
    """
    from headrace.core.errors import DeclarationError
    from headrace.datasets.store.store import Store
    from headrace.datasets.store.verify import verify_ref

    if whole_store == (ref is not None):
        raise DeclarationError("no release to verify", fix="headrace dataset verify REF, or --all")
    store = Store.find()
    refs = (
        [(name, version) for name in store.names() for version in store.versions(name)]
        if ref is None
        else [store.resolve(ref)]
    )
    with progress(quiet=as_json):
        verified = [verify_ref(store, name, version) for name, version in refs]
    ok = all(release.ok for release in verified)
    if as_json:
        documents = [release.to_json() for release in verified]
        emit_json({"ok": ok, "releases": documents} if whole_store else documents[0])
    else:
        for release in verified:
            _print_verification(release)
        if not verified:
            out.print("nothing released yet: headrace run")
    if not ok:
        raise typer.Exit(BLOCKED)


def _print_verification(verification: "Verification") -> None:
    word, style = (
        ("is what was released", "green") if verification.ok else ("is DAMAGED", "bold red")
    )
    out.print(Text.assemble((f"{verification.ref} {word}", style)), soft_wrap=True)
    out.print(
        f"  {verification.objects:,} objects, {verification.rows:,} rows,"
        f" {verification.bytes / 1e6:,.1f} MB read;"
        f" content hash {verification.content_hash or 'not known'}",
        highlight=False,
        soft_wrap=True,
    )
    for problem in verification.problems[:_LISTED]:
        out.print(Text(f"  {problem}", "red"), soft_wrap=True)
    if len(verification.problems) > _LISTED:
        out.print(
            Text(f"  and {len(verification.problems) - _LISTED:,} more: --json lists them", "red")
        )


@explained
def gc(
    *,
    dry_run: DryRunFirst = True,
    grace: Annotated[
        str, typer.Option(help="Keep everything written within this time: 24h, 7d.")
    ] = "24h",
    as_json: AsJson = False,
) -> None:
    """Find objects that no release or record refers to, and leftovers of crashes; delete them.

    Without --apply nothing is deleted. Objects that a release, a recall or an erasure refers to are
    always kept, and so are recent ones: a release in progress writes its objects before its
    manifest.

    For example:

      headrace dataset gc --apply
    """
    from headrace.core.clock import duration
    from headrace.datasets.store.garbage_collection import clear
    from headrace.datasets.store.store import Store

    with progress(quiet=as_json):
        cleared = clear(Store.find(), delete=not dry_run, grace=duration(grace))
    if as_json:
        emit_json(cleared.to_json())
        return
    word = "removed" if cleared.deleted else "can go"
    out.print(
        f"{len(cleared.objects):,} objects and {len(cleared.temporaries):,} leftovers {word}: "
        f"{cleared.bytes / 1e6:,.1f} MB; {cleared.referenced:,} objects are in use,"
        f" {cleared.young:,} are too recent",
        highlight=False,
        soft_wrap=True,
    )
    for path in [*cleared.objects, *cleared.temporaries][:_LISTED]:
        out.print(Text(f"  {path}"), soft_wrap=True)
    if not cleared.deleted and (cleared.objects or cleared.temporaries):
        out.print("headrace dataset gc --apply deletes them")
