"""`headrace model register`: keep a model that was trained elsewhere."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.output import emit_json, explained, out


@explained
def register(
    name: Annotated[str, typer.Argument(help="Of the model, as in flights_late_net.")],
    *,
    dataset: Annotated[
        str, typer.Option(help="The release it was trained on: flights_delay@1.2.0.")
    ],
    artifact: Annotated[
        list[Path], typer.Option(help="A file of the model; give it again for each of them.")
    ],
    framework: Annotated[
        str, typer.Option(help='What it takes to load it, as in "torch 2.9".')
    ] = "",
    metrics: Annotated[
        str | None,
        typer.Option(help="What its makers measured: a JSON object, or a file that holds one."),
    ] = None,
    content_hash: Annotated[
        str | None,
        typer.Option(help="What training read; refused if the release has another one."),
    ] = None,
    principal: Annotated[
        str | None,
        typer.Option("--as", help="Who does it; HEADRACE_PRINCIPAL or the system's user."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
) -> None:
    """Register a model that was trained elsewhere against the release it was trained on.

    Its files are copied and named by their sha256; nothing is ever loaded from them. From then on
    `headrace model ls` lists it, `headrace impact` finds it behind a batch, and a recall of a batch
    in its release taints it. A tainted release is refused. The same again changes nothing.
    """
    from headrace.core.home import Home
    from headrace.datasets import open_release
    from headrace.models.external import register as keep

    home = Home.find()
    made = keep(
        home,
        name,
        open_release(dataset, home.store),
        artifact,
        framework=framework,
        metrics=_metrics(metrics),
        content_hash=content_hash,
        principal=principal,
    )
    if as_json:
        emit_json(made.to_json())
        return
    out.print(Text(f"{made.ref}: trained on {made.dataset}, {made.content_hash[:16]}"))
    for one in made.artifacts:
        out.print(Text(f"  {one.sha256[:16]}  {one.bytes:,} bytes  {one.name}"), soft_wrap=True)


def _metrics(text: str | None) -> dict[str, Any]:
    from headrace.core.errors import DeclarationError

    if text is None:
        return {}
    try:
        given = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        found = json.loads(given)
    except (OSError, ValueError) as error:
        raise DeclarationError(
            f"the metrics cannot be read: {error}",
            where="--metrics",
            fix="""--metrics '{"auc": 0.81}', or the path of a file""",
        ) from error
    if not isinstance(found, dict):
        raise DeclarationError(
            "the metrics are no JSON object", where="--metrics", fix="""as in {"auc": 0.81}"""
        )
    return found
