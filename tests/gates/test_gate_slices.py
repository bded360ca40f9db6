"""A check by level answers as the same check of each level's rows alone."""

import pyarrow as pa
import pytest
from gate_batches import conformed, contract, expect, rows, suite
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError
from headrace.gates import Judgement, Verdict, judge, parse_suite

CHECKS = {
    "between": expect("column_values_to_be_between", column="miles", min_value=0, mostly=0.7),
    "present": expect("column_values_to_not_be_null", column="miles", mostly=0.5),
    "mean": expect("column_mean_to_be_between", column="miles", min_value=0, max_value=3),
    "rows": expect("table_row_count_to_be_between", min_value=2),
    "levels": expect("column_unique_value_count_to_be_between", column="miles", max_value=2),
    "conditioned": expect(
        "column_values_to_be_in_set",
        column="miles",
        value_set=[0, 1, 2],
        row_condition="id > 3",
        condition_parser="pandas",
    ),
    "set": expect("column_distinct_values_to_contain_set", column="miles", value_set=[0, 1]),
}
ROW_LEVEL = {"between", "present", "conditioned"}
trips = st.lists(
    st.tuples(
        st.sampled_from(["Ulm", "Köln", "a'b", "", None]),
        st.one_of(st.none(), st.floats(-2, 5).map(round).map(float), st.just(float("nan"))),
    ),
    max_size=25,
)


def table(found: list) -> pa.Table:
    return rows(*((number, town, miles) for number, (town, miles) in enumerate(found)))


def check(name: str, **meta) -> dict:
    action = "quarantine" if name in ROW_LEVEL else "block"
    return {**CHECKS[name], "meta": {"id": name, "action": action, **meta}}


def answer(batch: pa.Table, *checks: dict) -> Judgement:
    return judge(suite(*checks, max_quarantined_share=1), contract(), conformed(batch))


@settings(deadline=None)
@for_all(trips, st.integers(1, 4))
def test_it_is_the_same_check_on_each_level(found, min_rows) -> None:
    batch = table(found)
    whole = answer(batch, *(check(name, by="town", min_rows=min_rows) for name in CHECKS))
    towns = dict.fromkeys(batch["town"].to_pylist())
    told = {result.id: result for result in whole.results}
    lost: dict[int, list[str]] = {}
    for name in CHECKS:
        failing = []
        for town in towns:
            mine = batch.filter(pa.array([one == town for one in batch["town"].to_pylist()]))
            in_scope = [i for i in mine["id"].to_pylist() if name != "conditioned" or i > 3]
            if len(in_scope) < min_rows:
                continue
            alone = answer(mine, check(name))
            if alone.failed:
                failing.append(town)
                for line, reasons in zip(
                    alone.quarantined["_line"].to_pylist(),
                    alone.quarantined["_reasons"].to_pylist(),
                    strict=True,
                ):
                    lost.setdefault(line, []).extend(reasons)
        assert told[name].status == ("fail" if failing else "pass"), name
        named = {one["level"] for one in told[name].observed or ()}
        assert named == set(failing), name
    kept = dict(
        zip(
            whole.quarantined["_line"].to_pylist(),
            whole.quarantined["_reasons"].to_pylist(),
            strict=True,
        )
    )
    assert {line: sorted(r) for line, r in kept.items()} == {k: sorted(v) for k, v in lost.items()}


BATCH = table([*[("Ulm", 1.0)] * 10, *[("Köln", 90.0)] * 5, *[(None, 7.0)] * 2])


def test_failing_levels_are_named_with_their_values() -> None:
    judged = answer(BATCH, check("mean", by="town"), check("present", by="town"))
    result = judged.failed[0]
    assert result.observed == [{"level": "Köln", "value": 90.0}, {"level": None, "value": 7.0}]
    assert result.reason == (
        "2 of 3 levels of town fail: Köln: mean of miles 90 is above 3;"
        " null: mean of miles 7 is above 3"
    )
    assert result.expected == "for each town, mean of miles is between 0 and 3"
    assert result.columns == ("miles", "town")
    assert Judgement.from_json(judged.to_json()) == judged


def test_small_levels_can_be_left_out() -> None:
    judged = answer(BATCH, check("mean", by="town", min_rows=6))
    assert judged.verdict is Verdict.PASS
    assert judged.results[0].expected.startswith("for each town with at least 6 rows")


def test_more_levels_than_stated_are_an_error_and_no_pass() -> None:
    judged = answer(BATCH, check("mean", by="town", max_levels=2))
    assert judged.verdict is Verdict.ERROR
    assert "town has more than 2 levels in this batch; raise max_levels" in judged.summary()
    assert answer(BATCH, check("mean", by="town", max_levels=3)).verdict is Verdict.BLOCK


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"by": 7}, "by is 7"),
        ({"min_rows": 7}, "min_rows without by"),
        ({"by": "town", "min_rows": 0}, "min_rows is 0"),
        ({"by": "town", "max_levels": "all"}, "max_levels is 'all'"),
    ],
)
def test_a_wrong_form_is_refused(meta, message) -> None:
    with pytest.raises(DeclarationError, match=message):
        suite(check("mean", **meta))


def test_what_has_no_levels_is_refused() -> None:
    with pytest.raises(DeclarationError, match="cannot be evaluated by category"):
        suite(expect("column_values_to_be_unique", meta={"by": "town"}, column="id"))
    for by, message in (("mile", "no column 'mile'"), ("miles", "floating point")):
        one = suite(check("mean", by=by))
        with pytest.raises(DeclarationError, match=message):
            one.check(contract().arrow_schema())
        assert answer(BATCH, check("mean", by=by)).verdict is Verdict.ERROR


def test_slices_are_part_of_the_hash_and_of_the_id() -> None:
    plain, by_town = suite(CHECKS["mean"]), suite({**CHECKS["mean"], "meta": {"by": "town"}})
    assert plain.hash != by_town.hash
    assert by_town.expectations[0].id == "column_mean_to_be_between:miles/town"
    both = [CHECKS["mean"], {**CHECKS["mean"], "meta": {"by": "town"}}]
    parse_suite({"name": "both", "meta": {"table": "trips"}, "expectations": both})
