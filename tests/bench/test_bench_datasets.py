"""The sides of the benchmark of datasets agree, in small."""

import pytest

from bench import datasets, datasets_child
from headrace.datasets.store.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "store"
    datasets._put_versions(Store.find(folder), 12_000)
    return str(folder)


@pytest.mark.parametrize("version", ["1.0.1", "1.0.2", "1.0.3"])
def test_we_and_both_joins_say_the_same(store, version):
    ours, *peers = (
        datasets_child.of_releases(side, store, "1.0.0", version)()
        for side in ("diff", "join", "join of hashes")
    )
    assert ours[2] > 0
    assert peers == [ours, ours]


def test_both_hashes_are_one(tmp_path):
    rows = datasets_child.frame(2_000)
    one, other = (
        datasets_child.of_table(side, rows, str(tmp_path))()
        for side in ("hash", "hash in plain Python")
    )
    assert one == other
