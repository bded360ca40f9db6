"""Plans are prepared per thread: judging in many threads at once gives what one thread gives."""

from concurrent.futures import ThreadPoolExecutor

from gate_batches import conformed, contract, expect, rows, suite

from headrace.gates import engine, judge

KEPT = 3
SUITES = [
    suite(
        expect(
            "column_values_to_be_between",
            meta={"id": "miles", "action": "quarantine"},
            column="miles",
            max_value=limit,
        )
    )
    for limit in range(KEPT + 2)
]


def judged(number: int) -> str:
    limit, size = number // 8 % len(SUITES), number % 7
    batch = rows(*((n, "Ulm", float(n * 5)) for n in range(size)))
    return judge(SUITES[limit], contract(), conformed(batch)).to_json()


def test_threads_agree_with_one(monkeypatch) -> None:
    """Neighbours in the order judge by the same suite, so threads want the same plan at once."""
    # Fewer than there are suites, so that plans come and go.
    monkeypatch.setattr(engine, "MOST_PREPARED", KEPT)
    numbers = list(range(8 * len(SUITES)))
    alone = [judged(number) for number in numbers]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judged, numbers)) == alone
