"""`headrace dataset card`: dataset card of a release, for people and for machines."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from headrace.cli.options import Release
from headrace.cli.output import emit_json, explained, out


@explained
def card(
    ref: Release,
    *,
    html: Annotated[
        Path | None,
        typer.Option("--html", help="Write the card to this file as a self-contained page."),
    ] = None,
    croissant: Annotated[
        Path | None,
        typer.Option(
            "--croissant",
            help="Write Croissant JSON-LD to this file, with links to the store's objects.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card as Croissant JSON-LD.")
    ] = False,
) -> None:
    """Show the dataset card of a release: terms, sources, privacy, checks and columns.

    Statements that only people can make come from card.yaml beside the pipeline, each with the name
    of its author; the card lists missing statements. --croissant writes a document from which
    mlcroissant loads the rows; --json prints it with addresses relative to the store's folder.

    For example:

      headrace dataset card flights_delay@latest --html card.html
    """
    from headrace.core.files import write_atomically, write_json
    from headrace.datasets.card import card as card_of
    from headrace.datasets.card import wording
    from headrace.datasets.card.statement import FIELDS
    from headrace.datasets.store.store import Store

    store = Store.find()
    document = card_of(store, store.manifest(*store.resolve(ref)))
    manifest = document.manifest
    if html is not None:
        write_atomically(html.absolute(), document.html().encode())
    if croissant is not None:
        write_json(croissant.absolute(), document.to_json(croissant.absolute().parent))
    if as_json:
        emit_json(document.to_json())
        return
    for path in filter(None, (html, croissant)):
        out.print(Text(f"wrote {path}"))
    if html or croissant:
        return
    out.print(Text(f"{manifest.ref} {manifest.description}", "bold"), soft_wrap=True)
    for why in document.tainted:
        out.print(Text(f"DO NOT USE: {why}", "bold red"), soft_wrap=True)
    terms = manifest.terms
    lines = [
        ("purpose", manifest.purpose),
        ("may be passed on", "yes" if terms.get("pass_on", True) else "no"),
        *(("obligation", obligation) for obligation in terms.get("obligations", ())),
        *(("credit", credit) for credit in terms.get("credits", ())),
        ("split", wording.split_rule_text(manifest)),
        ("label", wording.label_text(manifest)),
        ("sources", wording.sources_text(manifest)),
        *(("privacy", treatment) for treatment in wording.privacy_sentences(manifest)),
        ("retention", wording.retention_sentence(manifest)),
        *(("erased", str(erasure["because"])) for erasure in manifest.erasures),
        *((FIELDS[name], document.statement_text(name)) for name in FIELDS),
    ]
    for name, value in lines:
        out.print(Text.assemble((f"{name}: ", "dim"), value), soft_wrap=True)
