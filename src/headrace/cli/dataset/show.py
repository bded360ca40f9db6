"""`headrace dataset show`: what a release is made of, and what happened to it since."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from headrace.cli.dataset.datasets import Json
from headrace.cli.output import emit_json, explained, grid, out
from headrace.core.clock import iso

if TYPE_CHECKING:
    from headrace.datasets.manifest import Manifest
    from headrace.datasets.store.store import Store


@explained
def show(
    ref: Annotated[
        str, typer.Argument(help="A release: flights_delay@1.0.0, or flights_delay@latest.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Show what a release is made of: splits, inputs, fits, rows left out with their reasons.

    Also why it has its version, and what happened since: who recalled a batch of it, who opened it
    nevertheless, who looked at its evaluation split. With --json it is the manifest, which never
    changes, and under `since` what does.
    """
    from headrace.datasets.store.store import Store

    store = Store.find()
    manifest = store.manifest(*store.resolve(ref))
    since = _since(store, manifest)
    if as_json:
        emit_json({**manifest.to_json(), "ref": manifest.ref, "id": manifest.id, "since": since})
        return
    _head(manifest, since)
    _splits(manifest)
    _inputs(manifest)
    for title, listed in _lists(manifest):
        out.print(f"[bold]{title}[/] ", Text(listed), highlight=False, soft_wrap=True)


def _since(store: "Store", manifest: "Manifest") -> dict[str, Any]:
    from headrace.datasets.taint import openings_of, taints

    return {
        "created_at": store.created(manifest.name, manifest.version)["created_at"],
        "tainted": [str(taint) for taint in taints(store, manifest)],
        "openings": [dict(line) for line in openings_of(store, manifest)],
        "looks": _looks(store, manifest),
    }


def _looks(store: "Store", manifest: "Manifest") -> list[dict[str, Any]]:
    """Each look at the evaluation split, oldest first."""
    from headrace.datasets.evaluation_access import looks
    from headrace.datasets.vocabulary import EVALUATION

    if EVALUATION not in manifest.splits:
        return []
    return [asdict(look) for look in looks(store, manifest)]


def _head(manifest: "Manifest", since: Mapping[str, Any]) -> None:
    out.print(f"[bold]{manifest.ref}[/] ", Text(manifest.description), highlight=False)
    for one in since["tainted"]:
        out.print(Text(f"TAINTED by {one}", "bold red"), soft_wrap=True)
    for line in since["openings"]:
        opened = (
            f"opened nevertheless by {line['principal']} at {iso(line['at'])}: {line['reason']}"
        )
        out.print(Text(opened, "red"), soft_wrap=True)
    for line in (
        f"content hash {manifest.content_hash}",
        f"manifest     {manifest.id}",
        f"made         {str(since['created_at'])[:19]}, labels known by {iso(manifest.cutoff_us)}",
    ):
        out.print(line, highlight=False)
    why = "; ".join(manifest.reasons) or "nothing was released before it"
    out.print(Text(f"version      {manifest.change}: {why}"), soft_wrap=True)
    for erased in manifest.erasures:
        told = ", ".join(
            f"at {iso(value)}" if name == "at_us" else f"{name} {value}"
            for name, value in erased.items()
        )
        out.print(Text(f"erasure      {told}", "yellow"), soft_wrap=True)
    if (most := manifest.split_rule.get("evaluation_looks")) is not None:
        seen = len(since["looks"])
        style = "red" if seen > most else ""
        out.print(Text(f"evaluation   {seen} of {most} declared looks", style))
    for look in since["looks"]:
        told = f"{look['principal']} at {iso(look['at'])}: {look['purpose']}"
        out.print(Text(f"             {told}"), soft_wrap=True)


def _splits(manifest: "Manifest") -> None:
    grid(
        "splits",
        ["split", "rows#", "parts#", "MB#", "from", "to", "left out"],
        [
            [
                name,
                split.rows,
                len(split.parts),
                f"{split.bytes / 1e6:,.1f}",
                *_days(split.statistics.get("t", {})),
                ", ".join(f"{why} {count:,}" for why, count in split.left_out.items()),
            ]
            for name, split in manifest.splits.items()
        ],
    )


def _days(t: Mapping[str, Any]) -> list[str]:
    return [iso(t[end])[:10] if isinstance(t.get(end), int) else "" for end in ("min", "max")]


def _inputs(manifest: "Manifest") -> None:
    from headrace.lake.overrides.pinned_actions import told

    grid(
        "inputs",
        ["table", "snapshot", "contract", "licence", "batches#", "verdicts"],
        [
            [
                name,
                str(given.snapshot_id),
                given.contract_version,
                given.licence,
                given.batch_count,
                ", ".join(f"{verdict} {count}" for verdict, count in given.verdicts.items()),
            ]
            for name, given in manifest.inputs.items()
        ],
    )
    for given in manifest.inputs.values():
        for override in given.overrides:
            out.print(Text(f"override: {told(override)}", "yellow"), soft_wrap=True)


def _lists(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    yield f"features ({len(manifest.features)})", ", ".join(manifest.features)
    yield "label", f"{manifest.target}, of {manifest.label.get('table', '')}"
    if manifest.fits:
        yield "fits", ", ".join(f"{name} {digest[:12]}" for name, digest in manifest.fits.items())
    yield "licences", f"{', '.join(manifest.licences)}; released for {manifest.purpose}"
    alike: dict[str, list[str]] = {}
    for name, one in manifest.privacy.items():
        alike.setdefault(f"{one.get('class', '')} ({one.get('treatment', '')})", []).append(name)
    if alike:
        yield "privacy", "; ".join(f"{how}: {', '.join(names)}" for how, names in alike.items())
    if manifest.retention:
        yield "kept", ", ".join(f"{name} {value}" for name, value in manifest.retention.items())
    yield "code", manifest.code_revision
