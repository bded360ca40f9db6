"""`headrace dataset card`: what a release is, for people and for machines."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, out


@explained
def card(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    *,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page here; one file, no network.")
    ] = None,
    croissant: Annotated[
        Path | None,
        typer.Option("--croissant", help="Write the JSON-LD here, leading to the store's objects."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card as Croissant JSON-LD.")
    ] = False,
) -> None:
    """Show the card of a release: terms, sources, privacy, checks, columns; what nobody stated.

    --html writes a page for people, --croissant a document that mlcroissant loads rows by; printed
    with --json, its addresses start from the store's folder. Only people can know some of it: they
    state it in card.yaml beside the pipeline, and each statement bears a name.
    """
    from headrace.core.files import write_atomically, write_json
    from headrace.datasets.card import card as card_of
    from headrace.datasets.card import wording
    from headrace.datasets.card.statement import FIELDS
    from headrace.datasets.store.store import Store

    store = Store.find()
    found = card_of(store, store.manifest(*store.resolve(ref)))
    manifest = found.manifest
    if html is not None:
        write_atomically(html.absolute(), found.html().encode())
    if croissant is not None:
        write_json(croissant.absolute(), found.to_json(croissant.absolute().parent))
    if as_json:
        emit_json(found.to_json())
        return
    for path in filter(None, (html, croissant)):
        out.print(Text(f"wrote {path}"))
    if html or croissant:
        return
    out.print(Text(f"{manifest.ref} {manifest.description}", "bold"), soft_wrap=True)
    for why in found.tainted:
        out.print(Text(f"DO NOT USE: {why}", "bold red"), soft_wrap=True)
    terms = manifest.terms
    lines = [
        ("purpose", manifest.purpose),
        ("may be passed on", "yes" if terms.get("pass_on", True) else "no"),
        *(("obligation", one) for one in terms.get("obligations", ())),
        *(("credit", one) for one in terms.get("credits", ())),
        ("split", wording.split_told(manifest)),
        ("label", wording.label_told(manifest)),
        ("sources", wording.collected(manifest)),
        *(("privacy", one) for one in wording.privacy_told(manifest)),
        ("retention", wording.retention_told(manifest)),
        *(("erased", str(erasure["because"])) for erasure in manifest.erasures),
        *((FIELDS[name], found.says(name)) for name in FIELDS),
    ]
    for name, value in lines:
        out.print(Text.assemble((f"{name}: ", "dim"), value), soft_wrap=True)
