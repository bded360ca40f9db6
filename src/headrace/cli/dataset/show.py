"""`headrace dataset show`: contents of a release, and its history."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.text import Text

from headrace.cli.options import AsJson, Release
from headrace.cli.output import emit_json, explained, grid, out
from headrace.core.clock import iso

if TYPE_CHECKING:
    from headrace.datasets.manifest import Manifest
    from headrace.datasets.store.store import Store


@explained
def show(
    ref: Release,
    *,
    as_json: AsJson = False,
) -> None:
    """Show a release: splits, inputs, fitted transforms, and excluded rows with reasons.

    The output also contains the reason for its version, and its history: recalls of its batches,
    openings despite a taint, accesses to the evaluation split. --json prints the manifest, which
    never changes, and the history under `since`.
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
        "looks": _accesses(store, manifest),
    }


def _accesses(store: "Store", manifest: "Manifest") -> list[dict[str, Any]]:
    """Return the accesses to the evaluation split, oldest first."""
    from headrace.datasets.evaluation_access import looks
    from headrace.datasets.vocabulary import EVALUATION

    if EVALUATION not in manifest.splits:
        return []
    return [asdict(access) for access in looks(store, manifest)]


def _head(manifest: "Manifest", since: Mapping[str, Any]) -> None:
    out.print(f"[bold]{manifest.ref}[/] ", Text(manifest.description), highlight=False)
    for taint in since["tainted"]:
        out.print(Text(f"TAINTED by {taint}", "bold red"), soft_wrap=True)
    for line in since["openings"]:
        opened = (
            f"opened despite the taint by {line['principal']} at {iso(line['at'])}:"
            f" {line['reason']}"
        )
        out.print(Text(opened, "red"), soft_wrap=True)
    for line in (
        f"content hash {manifest.content_hash}",
        f"manifest     {manifest.id}",
        f"made         {str(since['created_at'])[:19]}, labels known by {iso(manifest.cutoff_us)}",
    ):
        out.print(line, highlight=False)
    why = "; ".join(manifest.reasons) or "first release"
    out.print(Text(f"version      {manifest.change}: {why}"), soft_wrap=True)
    for erased in manifest.erasures:
        details = ", ".join(
            f"at {iso(value)}" if name == "at_us" else f"{name} {value}"
            for name, value in erased.items()
        )
        out.print(Text(f"erasure      {details}", "yellow"), soft_wrap=True)
    if (declared := manifest.split_rule.get("evaluation_looks")) is not None:
        accesses = len(since["looks"])
        style = "red" if accesses > declared else ""
        out.print(Text(f"evaluation   {accesses} of {declared} declared accesses", style))
    for access in since["looks"]:
        details = f"{access['principal']} at {iso(access['at'])}: {access['purpose']}"
        out.print(Text(f"             {details}"), soft_wrap=True)


def _splits(manifest: "Manifest") -> None:
    grid(
        "splits",
        ["split", "rows#", "parts#", "MB#", "from", "to", "excluded"],
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
    from headrace.lake.overrides.pinned_actions import override_sentence

    grid(
        "inputs",
        ["table", "snapshot", "contract", "licence", "batches#", "verdicts"],
        [
            [
                name,
                str(pinned.snapshot_id),
                pinned.contract_version,
                pinned.licence,
                pinned.batch_count,
                ", ".join(f"{verdict} {count}" for verdict, count in pinned.verdicts.items()),
            ]
            for name, pinned in manifest.inputs.items()
        ],
    )
    for pinned in manifest.inputs.values():
        for override in pinned.overrides:
            out.print(Text(f"override: {override_sentence(override)}", "yellow"), soft_wrap=True)


def _lists(manifest: "Manifest") -> Iterator[tuple[str, str]]:
    yield f"features ({len(manifest.features)})", ", ".join(manifest.features)
    yield "label", f"{manifest.target}, of {manifest.label.get('table', '')}"
    if manifest.fits:
        yield "fitted", ", ".join(f"{name} {digest[:12]}" for name, digest in manifest.fits.items())
    yield "licences", f"{', '.join(manifest.licences)}; released for {manifest.purpose}"
    alike: dict[str, list[str]] = {}
    for name, treatment in manifest.privacy.items():
        alike.setdefault(
            f"{treatment.get('class', '')} ({treatment.get('treatment', '')})", []
        ).append(name)
    if alike:
        yield "privacy", "; ".join(f"{how}: {', '.join(names)}" for how, names in alike.items())
    if manifest.retention:
        yield "kept", ", ".join(f"{name} {value}" for name, value in manifest.retention.items())
    yield "code", manifest.code_revision
