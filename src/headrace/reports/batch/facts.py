"""Facts of a gate report, from the ledger, the lake and the pipeline's declaration.

A report shows the result that the gate recorded at validation, so its page stays the same when the
rules change. The report needs only the ledger; its comparison of columns also needs the staged or
delivered files, or a stored comparison. Without them the page says that there is no comparison.
"""

import shlex
from collections.abc import MutableMapping

from headrace.contracts.authoring.support_channels import support_channels
from headrace.core.clock import now_us
from headrace.core.errors import HeadraceError
from headrace.core.home import Home
from headrace.gates.compare import Comparison
from headrace.lake.batch_comparison import (
    compare_batches,
    comparison_path,
    store_comparison,
    stored_comparison,
)
from headrace.lake.ingest.validator import table_rule
from headrace.lake.ledger.ledger import Batch, JudgementRow, Ledger
from headrace.lake.overrides.available_actions import available_actions
from headrace.lake.overrides.batch_case import find_case
from headrace.lake.tables.lake import Lake
from headrace.pipeline.definition import Pipeline
from headrace.reports.batch.blast_radius import blast_radius
from headrace.reports.batch.failing_rows import failing_rows
from headrace.reports.batch.model import LastGood, Origin, Reach, Report, Rules
from headrace.reports.batch.next_steps import ActionCase, Link, no_link, steps
from headrace.reports.batch.shared_facts import ReportFacts, history, log
from headrace.web import wording


def gate_report(
    pipeline: Pipeline,
    home: Home,
    table: str,
    batch_id: str,
    *,
    link: Link = no_link,
    keeping: bool = False,
    memory: MutableMapping[tuple[str, ...], Comparison] | None = None,
) -> Report:
    """Collect all facts about one batch.

    Args:
        pipeline: the pipeline that declares the table.
        home: the Headrace home.
        table: a table of the pipeline.
        batch_id: the complete id, as in the ledger.
        link: returns the URL at which an action can be done in a browser.
        keeping: True to store the comparison, so that it can be shown after the rows are deleted.
        memory: cache of comparisons.

    Raises:
        StateError: there is no such batch, or it was not validated yet.
    """
    with Ledger(home) as ledger:
        facts = ReportFacts(pipeline, home, ledger, pipeline.table(table), batch_id, memory)
        return _report(facts, link, keeping=keeping)


def _report(facts: ReportFacts, link: Link, *, keeping: bool) -> Report:
    batch, judgement_row, judgement = facts.batch, facts.judgement_row, facts.judgement
    name, failed = facts.table.name, judgement.failed
    comparison, why_not = _compared(facts, keeping=keeping)
    last = facts.good[-1] if facts.good else None
    allowed, mutable = _offers(facts)
    return Report(
        table=name,
        slot=batch.slot,
        batch_id=batch.batch_id,
        state=batch.state,
        judgement=judgement,
        passing=judgement_row.passing,
        origin=_origin(facts),
        rules=_rules(facts),
        reach=_reach(facts),
        rendered_at=now_us(),
        published_at=batch.published_at,
        note=batch.note,
        successor=_successor(batch),
        last_good=_last_good(*last) if last else None,
        corrects=last is not None and last[0].slot == batch.slot,
        rows=failing_rows(
            judgement,
            shlex.join(["headrace", "gate", "rows", name, batch.batch_id[:12]]),
            facts.table.contract.primary_key,
        ),
        comparison=comparison,
        not_compared=why_not,
        units=tuple((f.name, f.unit) for f in facts.table.contract.fields if f.unit),
        history=history(facts, [result.id for result in failed if result.kind != "override"]),
        log=log(facts),
        steps=steps(
            ActionCase(
                name,
                batch.slot,
                batch.batch_id,
                batch.state,
                judgement,
                now_us(),
                allowed,
                mutable,
                _contact(facts),
                link,
            )
        ),
    )


def _offers(facts: ReportFacts) -> tuple[list[str], tuple[str, ...]]:
    """Return the currently allowed actions, and the failed checks that can be muted."""
    live = Lake(facts.home).live(facts.table.name).get(facts.batch_id)
    case = find_case(facts.ledger, facts.home, facts.table, facts.batch_id, live)
    offers = available_actions(case)
    return [action for action, offer in offers.items() if offer.allowed], offers["mute"].checks


def _successor(batch: Batch) -> str:
    """Return the batch that superseded this one, from the ledger's note."""
    return batch.note.removeprefix("superseded by ") if batch.state == "superseded" else ""


def _origin(facts: ReportFacts) -> Origin:
    batch = facts.batch
    aliases = facts.ledger.origins(facts.table.name).get(batch.batch_id, set()) - {batch.origin}
    return Origin(
        origin=batch.origin,
        producer=batch.producer,
        source=batch.source,
        format=batch.format,
        sha256=batch.sha256,
        bytes=batch.bytes,
        arrived_at=batch.arrived_at,
        received_at=batch.received_at,
        raw_path=batch.raw_path,
        origins=tuple(sorted(aliases)),
    )


def _rules(facts: ReportFacts) -> Rules:
    judgement, contract = facts.judgement, facts.table.contract
    contract_unchanged = judgement.contract_hash == contract.hash
    return Rules(
        owner=facts.batch.owner,
        suite=judgement.suite,
        suite_hash=judgement.suite_hash,
        contract_version=contract.version
        if contract_unchanged
        else f"before the current {contract.version}",
        contract_hash=judgement.contract_hash,
        rule_hash=facts.judgement_row.rule_hash,
        judged_at=facts.judgement_row.judged_at,
        current=(facts.judgement_row.base_hash or facts.judgement_row.rule_hash)
        == table_rule(facts.table),
        support=support_channels(contract),
    )


def _contact(facts: ReportFacts) -> str:
    """Return the producer, and the owner with the channels to reach them."""
    owner, channels = facts.batch.owner, support_channels(facts.table.contract)
    where = wording.listed([channel for channel, _ in channels])
    owned = f"{owner} ({where})" if owner and where else owner
    return wording.listed(dict.fromkeys(party for party in (facts.batch.producer, owned) if party))


def _reach(facts: ReportFacts) -> Reach:
    published = facts.batch.published_at is not None
    return blast_radius(
        facts.pipeline, facts.home, facts.table.name, facts.batch.batch_id, published=published
    )


def _last_good(batch: Batch, row: JudgementRow) -> LastGood:
    published = row.published_at or batch.published_at or 0
    return LastGood(batch.batch_id, batch.slot, row.passing, published, row.verdict)


def _compared(facts: ReportFacts, *, keeping: bool) -> tuple[Comparison | None, str]:
    """Return the comparison with the last good batch, or None and the reason why there is none."""
    if not facts.good:
        return None, "There is no good batch before this one."
    other = facts.good[-1][0]
    path = comparison_path(
        facts.home, facts.table.name, facts.batch_id, facts.judgement_row.rule_hash
    )
    key = (facts.table.name, facts.batch_id, facts.judgement_row.rule_hash, other.batch_id)
    comparison = (facts.memory or {}).get(key) or stored_comparison(path, other.batch_id)
    if comparison is None:
        pair = (facts.batch, facts.judgement_row), facts.good[-1]
        try:
            comparison = compare_batches(facts.home, facts.table, *pair, facts.good)
        except HeadraceError as error:
            return None, f"The columns cannot be compared: {wording.split_fix(error.what)[0]}."
    if keeping:
        store_comparison(path, other.batch_id, comparison)
    if facts.memory is not None:
        facts.memory[key] = comparison
    return comparison, ""
