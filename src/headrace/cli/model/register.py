"""`headrace model register`: registration of a model that was trained elsewhere."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from headrace.cli.options import AsJson, Principal
from headrace.cli.output import emit_json, explained, out


@explained
def register(
    name: Annotated[str, typer.Argument(help="Name of the model: flights_late_net.")],
    *,
    dataset: Annotated[str, typer.Option(help="Release it was trained on: flights_delay@1.2.0.")],
    artifact: Annotated[list[Path], typer.Option(help="File of the model; may be repeated.")],
    framework: Annotated[str, typer.Option(help='Framework that loads it: "torch 2.9".')] = "",
    metrics: Annotated[
        str | None,
        typer.Option(help="Metrics of the model: a JSON object, or a file with one."),
    ] = None,
    content_hash: Annotated[
        str | None,
        typer.Option(
            help="Content hash of the training rows; refused if the release has another one."
        ),
    ] = None,
    principal: Principal = None,
    as_json: AsJson = False,
) -> None:
    r"""Register a model that was trained elsewhere, with the release it was trained on.

    The model's files are copied and named by their SHA-256; they are never loaded. From then on
    `headrace model ls` lists the model, `headrace impact` includes it, and a recall of a batch in
    its release taints it. A model of a tainted release is refused. Repeating the command changes
    nothing.

    For example:

      headrace model register flights_late_net --dataset flights_delay@1.2.0 \
        --artifact net.pt --framework "torch 2.9"
    """
    from headrace.core.home import Home
    from headrace.datasets import open_release
    from headrace.models.external import register as keep

    home = Home.find()
    model = keep(
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
        emit_json(model.to_json())
        return
    out.print(Text(f"{model.ref}: trained on {model.dataset}, {model.content_hash[:16]}"))
    for file in model.artifacts:
        out.print(Text(f"  {file.sha256[:16]}  {file.bytes:,} bytes  {file.name}"), soft_wrap=True)


def _metrics(text: str | None) -> dict[str, Any]:
    from headrace.core.errors import DeclarationError

    if text is None:
        return {}
    try:
        document = text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8")
        metrics = json.loads(document)
    except (OSError, ValueError) as error:
        raise DeclarationError(
            f"the metrics cannot be read: {error}",
            where="--metrics",
            fix="""--metrics '{"auc": 0.81}', or the path of a file""",
        ) from error
    if not isinstance(metrics, dict):
        raise DeclarationError(
            "the metrics are not a JSON object", where="--metrics", fix="""write {"auc": 0.81}"""
        )
    return metrics
