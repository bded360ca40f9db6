import pytest

from bench.cluster import comparisons


@pytest.mark.slow
def test_the_benchmark_runs_and_its_answers_are_equal():
    found = comparisons(scale=0.002, repeat=1)
    assert found
    assert all(one.answers_equal for one in found)
