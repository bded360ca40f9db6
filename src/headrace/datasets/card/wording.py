"""Facts of a manifest in sentences, shared by both forms of the card."""

from headrace.core.clock import duration_text, iso
from headrace.datasets.governance.retention import told
from headrace.datasets.manifest import Manifest


def seen(manifest: Manifest) -> tuple[int, int] | None:
    """The first and the last prediction time, microseconds UTC; None of no rows."""
    found = [split.statistics.get("t", {}) for split in manifest.splits.values()]
    ends = [(one["min"], one["max"]) for one in found if one.get("min") is not None]
    return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else None


def collected(manifest: Manifest) -> str:
    parts = [
        f"{table} ({given.batch_count:,} deliveries, owner {given.owner or 'not_stated'},"
        f" contract {given.contract_version})"
        for table, given in sorted(manifest.inputs.items())
    ]
    return "; ".join(parts) or "not_stated"


def label_told(manifest: Manifest) -> str:
    label = manifest.label
    return (
        f"{label['target']}: from table {label['table']}, what is known of"
        f" {', '.join(label['key'])} within {duration_text(label['horizon_us'])} of the prediction,"
        f" and {duration_text(label['settle_us'])} more to settle; by the clock, not by whether an"
        " answer is there"
    )


def left_out_told(manifest: Manifest) -> str:
    counts: dict[str, int] = dict(manifest.left_out)
    for split in manifest.splits.values():
        for why, count in split.left_out.items():
            counts[why] = counts.get(why, 0) + count
    told_ = ", ".join(f"{why} {count:,}" for why, count in sorted(counts.items()))
    return f"rows left out: {told_}" if told_ else "no row was left out"


def treated_features(manifest: Manifest) -> list[str]:
    views = ", ".join(name for name in sorted(manifest.definitions) if name.isidentifier())
    said = f"{len(manifest.features)} features of the views {views}, each row's from facts that"
    found = [f"{said} were known at its prediction time ({manifest.mode})"]
    if manifest.fits:
        found.append(f"fitted on the training split alone: {', '.join(sorted(manifest.fits))}")
    return found


def privacy_told(manifest: Manifest) -> list[str]:
    """One sentence for each treated column, and one for all undecided; one if there is none."""
    found, open_ = [], []
    for column, facts in sorted(manifest.privacy.items()):
        how = facts["treatment"]
        if facts["class"] == "not_stated" and how == "none":
            open_.append(column)
            continue
        more = {
            "keep": f"kept: {facts.get('because', '')}",
            "pseudonymise": f"pseudonymised with key {facts.get('key_id', '')}",
            "generalise": f"generalised to steps of {facts.get('step', '')}",
            "drop": "not released",
        }
        found.append(f"{column} ({facts['class']}): {more.get(how, how)}")
    if open_:
        found.append(f"privacy class not_stated, released as it is: {', '.join(open_)}")
    return found or ["by the contracts of its sources, no column is personal or sensitive"]


def retention_told(manifest: Manifest) -> str:
    return told(manifest.retention) or "no source limits how long it is kept"


def split_told(manifest: Manifest) -> str:
    """The split rule in words."""
    rule = manifest.split_rule
    kind = rule.get("kind", "time")
    ends = ", ".join(
        f"{name.removesuffix('_until_us')} until {iso(rule[name])[:16].replace('T', ' ')} UTC"
        for name in ("train_until_us", "valid_until_us", "test_until_us")
        if rule.get(name) is not None
    )
    embargo = rule.get("embargo_us") or 0
    gap = f", embargo {duration_text(embargo)} beyond the label's own" if embargo else ""
    return f"by {kind}: {ends}{gap}" if ends else f"by {kind}{gap}"
