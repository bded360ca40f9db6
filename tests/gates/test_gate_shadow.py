"""A check in shadow is run and told, and changes nothing: not a verdict, not a row, not a hash."""

import json
from dataclasses import replace

import pytest
from gate_batches import conformed, contract, expect, rows, suite
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from headrace.contracts import Invariant
from headrace.core.errors import DeclarationError
from headrace.gates import Judgement, Suite, Verdict, judge, parse_suite

TRIPS = [(number, "Ulm", 10.0 * number) for number in range(100)]
CHECKS = {
    "blocks": expect("table_row_count_to_be_between", min_value=1000),
    "warns": expect("column_mean_to_be_between", "warning", column="miles", max_value=1),
    "quarantines": expect(
        "column_values_to_be_between", meta={"action": "quarantine"}, column="miles", max_value=980
    ),
    "quarantines_all": expect(
        "column_values_to_be_between", meta={"action": "quarantine"}, column="miles", min_value=1e6
    ),
    "crashes": expect("column_values_to_not_be_null", column="no_such_column"),
    "passes": expect("column_values_to_not_be_null", column="town"),
}


def check(name: str, *, shadow: bool) -> dict:
    made = CHECKS[name]
    meta = {**made["meta"], "id": name} | ({"shadow": True} if shadow else {})
    return {**made, "meta": meta}


def gate(counted: list[str], shadows: list[str]) -> Suite:
    return suite(
        *(check(n, shadow=False) for n in counted), *(check(n, shadow=True) for n in shadows)
    )


def verdict(one: Suite) -> Judgement:
    return judge(one, contract(Invariant("near", "miles < 990", "")), conformed(rows(*TRIPS)))


@settings(deadline=None)
@for_all(st.data())
def test_shadow_moves_nothing_and_foresees_exactly(data) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(CHECKS)), unique=True))
    cut = data.draw(st.integers(0, len(names)))
    counted, shadows = names[:cut], names[cut:]
    with_shadow = verdict(gate(counted, shadows))
    without = verdict(gate(counted, []))
    real = verdict(gate([*counted, *shadows], []))
    assert with_shadow.verdict == without.verdict
    assert with_shadow.passing.equals(without.passing)
    assert with_shadow.quarantined.equals(without.quarantined)
    assert with_shadow.failed == without.failed
    assert with_shadow.summary() == without.summary()
    if shadows:
        assert with_shadow.foreseen is not None
        assert with_shadow.foreseen.verdict == real.verdict
        assert with_shadow.foreseen.quarantined_count == real.quarantined_count
    else:
        assert with_shadow.foreseen is None
    told = {r.id: r.status for r in with_shadow.results if r.type != "quarantined_share"}
    assert told == {r.id: r.status for r in real.results if r.type != "quarantined_share"}
    assert Judgement.from_json(with_shadow.to_json()) == with_shadow


def test_what_a_shadow_would_have_done_is_told() -> None:
    judged = verdict(gate(["passes"], ["blocks", "quarantines"]))
    assert judged.verdict is Verdict.QUARANTINE  # the invariant
    told = {r.id: (r.verdict, r.would) for r in judged.shadowed}
    assert told == {
        "blocks": (Verdict.PASS, Verdict.BLOCK),
        "quarantines": (Verdict.PASS, Verdict.QUARANTINE),
    }
    text = judged.markdown()
    assert "In shadow, without effect: blocks, quarantines failed." in text
    assert "the verdict would be **BLOCK**" in text


def test_judgements_from_before_there_was_shadow_read_back() -> None:
    old = json.loads(verdict(gate(["passes"], [])).to_json())
    assert "foreseen" not in old
    assert Judgement.from_json(json.dumps(old)).foreseen is None


def test_a_new_check_in_shadow_judges_nothing_again_and_one_that_counts_does() -> None:
    before, shadow = gate(["blocks"], []), gate(["blocks"], ["warns"])
    counts = gate(["blocks", "warns"], [])
    assert before.hash == shadow.hash != counts.hash
    assert (before.shadow_hash, shadow.full_hash != before.full_hash) == ("", True)
    assert shadow.shadow_hash != gate(["blocks"], ["crashes"]).shadow_hash


def test_a_whole_suite_may_be_in_shadow() -> None:
    document = {
        "name": "yard.trips",
        "meta": {"table": "trips", "shadow": True},
        "expectations": [check("blocks", shadow=False), check("crashes", shadow=False)],
    }
    judged = verdict(parse_suite(document))
    assert judged.verdict is Verdict.QUARANTINE
    assert judged.foreseen is not None
    assert judged.foreseen.verdict is Verdict.ERROR
    assert parse_suite(document).hash == replace(parse_suite(document), expectations=()).hash
    document["meta"]["shadow"] = "yes"
    with pytest.raises(DeclarationError, match="shadow is 'yes'"):
        parse_suite(document)
