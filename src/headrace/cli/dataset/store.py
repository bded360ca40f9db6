"""`headrace dataset pull`, `verify`, `gc`: releases as they lie in a store."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from headrace.cli.output import BLOCKED, emit_json, explained, out, progress

if TYPE_CHECKING:
    from headrace.datasets.store.verify import Verification

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
_SHOWN = 20


@explained
def pull(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@champion.")
    ],
    *,
    to: Annotated[
        str, typer.Option("--to", help="A folder or s3://bucket/prefix; it becomes a store.")
    ],
    as_json: Json = False,
) -> None:
    """Copy a release with all it needs into another store, verified on its way.

    What was cut short is continued by the same command; what is there already is not copied again.
    Open it with `headrace.open(ref, store=...)`, or set HEADRACE_STORE.
    """
    from headrace.datasets.store.pull import pull as copy

    with progress(quiet=as_json):
        done = copy(ref, to)
    if as_json:
        emit_json(done.to_json())
        return
    out.print(
        f"{done.ref} is in {done.to}: {done.copied:,} of {done.objects:,} objects copied, "
        f"{done.bytes / 1e6:,.1f} MB" + ("; the others were there" * (done.copied < done.objects)),
        highlight=False,
        soft_wrap=True,
    )


@explained
def verify(
    ref: Annotated[
        str | None, typer.Argument(help="A release; or --all for all of the store.")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every release of the store.")] = False,
    as_json: Json = False,
) -> None:
    """Read every byte of a release and compare it with its manifest.

    Bytes of objects, footers, columns, order and splits of the rows, their sums, the content hash,
    the identity of the manifest. Exit code 1 says that something is not what was released.
    """
    from headrace.core.errors import DeclarationError
    from headrace.datasets.store.store import Store
    from headrace.datasets.store.verify import verify_ref

    if every == (ref is not None):
        raise DeclarationError(
            "which release is to be verified?", fix="headrace dataset verify REF, or --all"
        )
    store = Store.find()
    refs = (
        [(name, version) for name in store.names() for version in store.versions(name)]
        if ref is None
        else [store.resolve(ref)]
    )
    with progress(quiet=as_json):
        found = [verify_ref(store, name, version) for name, version in refs]
    ok = all(one.ok for one in found)
    if as_json:
        each = [one.to_json() for one in found]
        emit_json({"ok": ok, "releases": each} if every else each[0])
    else:
        for one in found:
            _tell(one)
        if not found:
            out.print("nothing released yet: headrace run")
    if not ok:
        raise typer.Exit(BLOCKED)


def _tell(found: "Verification") -> None:
    word, style = ("is what was released", "green") if found.ok else ("is DAMAGED", "bold red")
    out.print(Text.assemble((f"{found.ref} {word}", style)), soft_wrap=True)
    out.print(
        f"  {found.objects:,} objects, {found.rows:,} rows, {found.bytes / 1e6:,.1f} MB read; "
        f"content hash {found.content_hash or 'not known'}",
        highlight=False,
        soft_wrap=True,
    )
    for problem in found.problems[:_SHOWN]:
        out.print(Text(f"  {problem}", "red"), soft_wrap=True)
    if len(found.problems) > _SHOWN:
        out.print(Text(f"  and {len(found.problems) - _SHOWN:,} more: --json lists them", "red"))


@explained
def gc(
    *,
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove it; without, only look.")
    ] = False,
    grace: Annotated[
        str, typer.Option(help="Leave alone what was written within this time: 24h, 7d.")
    ] = "24h",
    as_json: Json = False,
) -> None:
    """Find objects that no release and no record refers to, and leftovers of crashes.

    Without --delete nothing is removed. Nothing that a release, a recall or an erasure refers to
    ever is, and nothing young: a release at work writes its objects before its manifest.
    """
    from headrace.core.clock import duration
    from headrace.datasets.store.garbage_collection import clear
    from headrace.datasets.store.store import Store

    with progress(quiet=as_json):
        found = clear(Store.find(), delete=delete, grace=duration(grace))
    if as_json:
        emit_json(found.to_json())
        return
    word = "removed" if found.deleted else "can go"
    out.print(
        f"{len(found.objects):,} objects and {len(found.temporaries):,} leftovers {word}: "
        f"{found.bytes / 1e6:,.1f} MB; {found.kept:,} objects are in use, {found.young:,} are too "
        "young to tell",
        highlight=False,
        soft_wrap=True,
    )
    for path in [*found.objects, *found.temporaries][:_SHOWN]:
        out.print(Text(f"  {path}"), soft_wrap=True)
    if not found.deleted and (found.objects or found.temporaries):
        out.print("headrace dataset gc --delete removes them")
