"""Dataset card as one self-contained page, in the style of the gate report."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.core.clock import iso, now_us
from headrace.datasets.card import wording
from headrace.datasets.card.statement import FIELDS, NOT_STATED
from headrace.datasets.governance.retention import is_expired
from headrace.reports.batch.page import document
from headrace.reports.card.columns import columns
from headrace.web.html import Child, Html, element
from headrace.web.tables import TableRow, table
from headrace.web.wording import counted, moment, number, percent

if TYPE_CHECKING:
    from headrace.datasets.card.build import Card

_JUMPS = (
    ("Terms", "#terms"),
    ("Sources", "#made"),
    ("Privacy", "#privacy"),
    ("Columns", "#columns"),
)


def page(card: "Card") -> str:
    """Return the complete document."""
    sections = [
        _composition(card),
        _stated(card, "Purpose and limits", ("use_cases", "not_for", "biases", "limitations",
                                             "social_impact"), "purpose"),
        _terms(card),
        _inputs(card),
        _label(card),
        _checks(card),
        _privacy(card),
        _keeping(card),
        columns(card),
        _stated(card, "Contact and citation", ("contact", "maintenance", "citation", "licence"),
                "cite"),
        _identity(card),
    ]  # fmt: skip
    footer = (
        f"Made {moment(card.made_at)} from the manifest and the records of the store."
        " not_stated: no statement was made."
    )
    return document(
        f"{card.manifest.ref}: dataset card",
        _top(card),
        element("nav", [element("a", name, href=to) for name, to in _JUMPS],
                aria_label="Parts of this card"),
        element("main", sections),
        element("footer", element("p", footer)),
    )  # fmt: skip


def _top(card: "Card") -> Html:
    manifest = card.manifest
    tone = "BLOCK" if card.tainted or is_expired(manifest.retention, now_us()) else "PASS"
    facts = {
        "rows": number(manifest.rows),
        "features": number(len(manifest.features)),
        "sources": number(len(manifest.inputs)),
        "size": _size(sum(split.bytes for split in manifest.splits.values())),
    }
    return element(
        "header",
        element("p", element("span", f"version {manifest.version}", class_="chip"),
                element("span", manifest.change, class_="tag"),
                element("span", f"for {manifest.purpose}", class_="tag"), class_="where"),
        element("h1", manifest.name),
        element("p", manifest.description or NOT_STATED, class_="first"),
        [element("p", element("strong", "Do not use it: "), why, class_="call BLOCK")
         for why in card.tainted],
        element("dl", [element("div", element("dt", name), element("dd", value))
                       for name, value in facts.items()], class_="sum"),
        class_=f"top {tone}",
    )  # fmt: skip


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _section(title: str, *children: Child, place: str = "") -> Html:
    return element("section", element("h2", title), children, id=place or None)


def _pairs(pairs: Mapping[str, Child]) -> Html:
    entries = [(element("dt", name), element("dd", value)) for name, value in pairs.items()]
    return element("dl", entries, class_="pairs")


def _listed(lines: Iterable[str]) -> Html | None:
    entries = [element("li", line) for line in lines]
    return element("ul", entries) if entries else None


def _stated(card: "Card", title: str, fields: tuple[str, ...], place: str) -> Html:
    """Show the statements on these fields with their authors; mark fields without a statement."""
    return _section(
        title, _pairs({FIELDS[name]: _statement(card, name) for name in fields}), place=place
    )


def _statement(card: "Card", name: str) -> Child:
    statement = card.stated.get(name)
    if statement is None:
        return element("span", NOT_STATED, class_="soft")
    when = f", {statement.on}" if statement.on else ""
    return [
        statement.text,
        " ",
        element("span", f"(stated by {statement.by}{when})", class_="soft small"),
    ]


def _composition(card: "Card") -> Html:
    manifest = card.manifest
    rows = [
        TableRow(
            name,
            (
                ("rows", number(split.rows)),
                ("from", _end(split.statistics, "min")),
                ("to", _end(split.statistics, "max")),
                ("mean of the label", _mean(split.statistics, manifest.target)),
            ),
        )
        for name, split in manifest.splits.items()
    ]
    counts = {name: split.left_out for name, split in manifest.splits.items()}
    exclusions = [
        f"excluded from {name}: {_counts(count)}" for name, count in counts.items() if count
    ]
    if manifest.left_out:
        exclusions.append(f"outside of all splits: {_counts(manifest.left_out)}")
    return _section(
        "Contents",
        element("p", f"One row for each {', '.join(manifest.key)}, by time; split "
                     f"{wording.split_rule_text(manifest)}."),
        table("Splits", ["split", "rows", "from", "to", f"mean {manifest.target}"], rows),
        _listed(exclusions),
        place="holds",
    )  # fmt: skip


def _end(statistics: Mapping[str, Mapping[str, Any]], bound: str) -> str:
    value = statistics.get("t", {}).get(bound)
    return moment(int(value)) if isinstance(value, int) else "no rows"


def _mean(statistics: Mapping[str, Mapping[str, Any]], column: str) -> str:
    value = statistics.get(column, {}).get("mean")
    return "" if value is None else f"{value:.4g}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{why} {count:,}" for why, count in sorted(counts.items()))


def _terms(card: "Card") -> Html:
    manifest = card.manifest
    terms = manifest.terms
    under = terms.get("under")
    rows = [
        TableRow(
            name,
            (
                ("owner", source.owner or NOT_STATED),
                ("licence", source.licence),
                ("chosen", terms.get("chosen", {}).get(name, "")),
                ("allowed for", ", ".join(source.purposes)),
            ),
        )
        for name, source in sorted(manifest.inputs.items())
    ]
    passed = "It may be passed on" if terms.get("pass_on") else "It may not be passed on"
    passed += f" under {' or '.join(under)} only" if under else ""
    if not terms:
        passed = "Its terms were not recorded at release: the licences below apply"
    return _section(
        "Terms of use",
        element("p", element("strong", f"{passed}."), " ",
                f"It was released for {manifest.purpose}, which every source allows."),
        element("h3", "Obligations"),
        _listed(terms.get("obligations", ())) or element("p", "none"),
        element("h3", "Credits"),
        _listed(terms.get("credits", ())) or element("p", "none required"),
        table("Sources", ["table", "owner", "licence", "chosen licence", "allowed purposes"], rows),
        place="terms",
    )  # fmt: skip


def _inputs(card: "Card") -> Html:
    manifest = card.manifest
    rows = [
        TableRow(
            name,
            (
                ("contract", source.contract_version),
                ("deliveries", number(source.batch_count)),
                ("verdicts", _counts(source.verdicts)),
                ("overrides", number(len(source.overrides))),
                ("snapshot", element("code", str(source.snapshot_id))),
            ),
        )
        for name, source in sorted(manifest.inputs.items())
    ]
    overrides = [override for source in manifest.inputs.values() for override in source.overrides]
    return _section(
        "Sources and gate results",
        _pairs({FIELDS["collection"]: _statement(card, "collection")}),
        table("Tables, and the gate's verdicts on their deliveries",
              ["table", "contract", "deliveries", "verdicts", "overrides", "snapshot"], rows),
        element("details", element("summary", counted(len(overrides), "override")),
                _listed(map(_override, overrides))) if overrides else None,
        _listed(wording.feature_sentences(manifest)),
        place="made",
    )  # fmt: skip


def _override(text: str) -> str:
    from headrace.lake.overrides.pinned_actions import override_sentence

    return override_sentence(text)


def _label(card: "Card") -> Html:
    return _section(
        "The label",
        element("p", wording.label_text(card.manifest)),
        _pairs({FIELDS["annotation"]: _statement(card, "annotation")}),
        place="label",
    )


def _checks(card: "Card") -> Html:
    manifest = card.manifest
    rule = manifest.split_rule
    lines = [
        "no key is in two splits, or twice in one split: such a release is refused",
        "training labels were read as of the end of training, test labels as of the cutoff"
        if rule.get("kind") == "time" or rule.get("after_us") is not None
        else "labels were read as of the cutoff: the splits are not by time",
    ]
    for split, rows in manifest.leakage.get("twins", {}).items():
        what = counted(rows, "row")
        lines.append(f"{what} of {split} with the same features as a training row")
    if because := manifest.leakage.get("because"):
        lines.append(f"overlap of splits is allowed: {because}")
    if card.looks is not None:
        lines.append(f"the evaluation split was accessed {counted(card.looks, 'time')}")
    outside = card.coverage.get("rows")
    share = percent(float(outside)) if isinstance(outside, int | float) else ""
    if share:
        lines.append(f"{share} of recent rows have values that the training split does not cover")
    return _section("Checks", _listed(lines), place="checks")


def _privacy(card: "Card") -> Html:
    manifest = card.manifest
    erased = [
        f"{erasure['because']} (erasure {str(erasure['id'])[:12]}, "
        f"requested {iso(erasure['at_us'])[:10]})"
        for erasure in manifest.erasures
    ]
    return _section(
        "Privacy",
        _listed(wording.privacy_sentences(manifest)),
        element("h3", "Erased or excluded persons"),
        _listed(erased) or element("p", "none"),
        _pairs({FIELDS["consent"]: _statement(card, "consent")}),
        place="privacy",
    )


def _keeping(card: "Card") -> Html:
    return _section(
        "Retention", element("p", wording.retention_sentence(card.manifest)), place="keeping"
    )


def _identity(card: "Card") -> Html:
    manifest = card.manifest
    pairs: dict[str, Child] = {
        "Reference": manifest.ref,
        "Content hash": element("code", manifest.content_hash),
        "Manifest": element("code", manifest.id),
        "Released": card.created_at[:19].replace("T", " ") + " UTC",
        "Cutoff": moment(manifest.cutoff_us),
        "Availability": manifest.mode,
        "Code": element("code", manifest.code_revision),
        "Pipeline": manifest.pipeline
        or ("released by hand" if manifest.format > 1 else NOT_STATED),
        "Why this version": "; ".join(manifest.reasons),
        "Open it": element("pre", f'headrace.open("{manifest.ref}")'),
    }
    return _section("Identity", _pairs(pairs), place="identity")
