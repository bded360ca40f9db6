"""Facts of a manifest as sentences, for the JSON and HTML forms of the card."""

from headrace.core.clock import duration_text, iso
from headrace.datasets.governance.retention import retention_text
from headrace.datasets.manifest import Manifest


def prediction_range(manifest: Manifest) -> tuple[int, int] | None:
    """The first and the last prediction time, microseconds UTC; None if there are no rows."""
    time_statistics = [split.statistics.get("t", {}) for split in manifest.splits.values()]
    ends = [
        (statistics["min"], statistics["max"])
        for statistics in time_statistics
        if statistics.get("min") is not None
    ]
    return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else None


def sources_text(manifest: Manifest) -> str:
    parts = [
        f"{table} ({source.batch_count:,} batches, owner {source.owner or 'not_stated'},"
        f" contract {source.contract_version})"
        for table, source in sorted(manifest.inputs.items())
    ]
    return "; ".join(parts) or "not_stated"


def label_text(manifest: Manifest) -> str:
    label = manifest.label
    return (
        f"{label['target']}: from table {label['table']}, the outcome for"
        f" {', '.join(label['key'])} within {duration_text(label['horizon_us'])} after the"
        f" prediction; a row is used only after {duration_text(label['settle_us'])} more, even if"
        " its outcome arrives earlier"
    )


def excluded_rows_text(manifest: Manifest) -> str:
    counts: dict[str, int] = dict(manifest.left_out)
    for split in manifest.splits.values():
        for why, count in split.left_out.items():
            counts[why] = counts.get(why, 0) + count
    reasons = ", ".join(f"{why} {count:,}" for why, count in sorted(counts.items()))
    return f"excluded rows: {reasons}" if reasons else "no row was excluded"


def feature_sentences(manifest: Manifest) -> list[str]:
    views = ", ".join(name for name in sorted(manifest.definitions) if name.isidentifier())
    features_text = (
        f"{len(manifest.features)} features of the views {views}; each row uses only facts that"
    )
    sentences = [f"{features_text} were known at its prediction time ({manifest.mode})"]
    if manifest.fits:
        sentences.append(f"fitted on the training split only: {', '.join(sorted(manifest.fits))}")
    return sentences


def privacy_sentences(manifest: Manifest) -> list[str]:
    """One sentence for each treated column, and one for all columns without a stated class.

    If there are no such columns, a sentence says so.
    """
    sentences, open_ = [], []
    for column, facts in sorted(manifest.privacy.items()):
        how = facts["treatment"]
        if facts["class"] == "not_stated" and how == "none":
            open_.append(column)
            continue
        treatment_texts = {
            "keep": f"kept: {facts.get('because', '')}",
            "pseudonymise": f"pseudonymised with key {facts.get('key_id', '')}",
            "generalise": f"generalised to steps of {facts.get('step', '')}",
            "drop": "not released",
        }
        sentences.append(f"{column} ({facts['class']}): {treatment_texts.get(how, how)}")
    if open_:
        sentences.append(f"released unchanged, privacy class not_stated: {', '.join(open_)}")
    return sentences or ["the contracts of its sources declare no column as personal or sensitive"]


def retention_sentence(manifest: Manifest) -> str:
    return retention_text(manifest.retention) or "no source limits its retention"


def split_rule_text(manifest: Manifest) -> str:
    """The split rule in words."""
    rule = manifest.split_rule
    kind = rule.get("kind", "time")
    ends = ", ".join(
        f"{name.removesuffix('_until_us')} until {iso(rule[name])[:16].replace('T', ' ')} UTC"
        for name in ("train_until_us", "valid_until_us", "test_until_us")
        if rule.get(name) is not None
    )
    embargo = rule.get("embargo_us") or 0
    gap = f", labels settled {duration_text(embargo)} before a bound (embargo)" if embargo else ""
    return f"by {kind}: {ends}{gap}" if ends else f"by {kind}{gap}"
