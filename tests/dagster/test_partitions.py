import pytest

from headrace.dagster.partitions import Span, daily, spans

CASES = [
    ("nothing", {}, []),
    ("nothing due", {"a": []}, []),
    ("unbroken days are one run", {"a": ["2024-02-28", "2024-02-29", "2024-03-01"]},
     [Span("2024-02-28", "2024-03-01", ("a",))]),
    ("a gap ends a run", {"a": ["2024-03-01", "2024-03-03"]},
     [Span("2024-03-01", "2024-03-01", ("a",)), Span("2024-03-03", "2024-03-03", ("a",))]),
    ("tables share a run where both are due",
     {"b": ["2024-03-01", "2024-03-02"], "a": ["2024-03-01", "2024-03-02", "2024-03-03"]},
     [Span("2024-03-01", "2024-03-02", ("a", "b")), Span("2024-03-03", "2024-03-03", ("a",))]),
    ("order does not matter", {"a": ["2024-03-02", "2024-03-01"]},
     [Span("2024-03-01", "2024-03-02", ("a",))]),
]  # fmt: skip


@pytest.mark.parametrize(("work", "found"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_spans(work, found):
    assert spans(work) == found


def test_both_ends_are_partitions():
    assert daily("2013-01-01", "2014-01-01").get_partition_keys()[-1] == "2014-01-01"
    assert len(daily("2013-01-01", "2014-01-01").get_partition_keys()) == 366


def test_an_open_end_holds_tomorrow():
    from datetime import UTC, datetime

    keys = daily("2024-03-01", None).get_partition_keys(
        current_time=datetime(2024, 3, 5, 12, tzinfo=UTC)
    )
    assert keys[-1] == "2024-03-06"
