"""The benchmark of worker processes, at a tiny size."""

from bench import learners


def test_the_worker_gives_the_predictions_of_this_process(capsys):
    measured = learners.measure(calls=3, rows=500)
    assert measured["equal"]
    assert measured["start"] > 0
    assert "| 1,000 | in a warm worker |" in learners.page(measured)
