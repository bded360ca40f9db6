"""Plans are prepared per thread: judging in many threads at once gives what one thread gives."""

from concurrent.futures import ThreadPoolExecutor

from gate_batches import conformed, contract, expect, rows, suite

from headrace.gates import judge
from headrace.gates.engine import MOST_PREPARED

CHECKS = [
    expect(
        "column_values_to_be_between",
        meta={"id": "miles", "action": "quarantine"},
        column="miles",
        max_value=limit,
    )
    for limit in range(2 * MOST_PREPARED)
]


def judged(number: int) -> str:
    limit, size = number % len(CHECKS), number % 7
    batch = rows(*((n, "Ulm", float(n * 5)) for n in range(size)))
    return judge(suite(CHECKS[limit]), contract(), conformed(batch)).to_json()


def test_threads_agree_with_one() -> None:
    """More suites than a thread keeps prepared, so that plans come and go."""
    numbers = list(range(200))
    alone = [judged(number) for number in numbers]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(judged, numbers)) == alone
