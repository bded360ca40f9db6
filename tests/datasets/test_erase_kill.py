"""An erasure that is killed by SIGKILL at any moment is finished by the same command again."""

import os
import random
import shutil
from pathlib import Path

import pytest

import headrace
from headrace.core.errors import StateError
from headrace.datasets import list_releases, release
from headrace.datasets.erasure.erase import carry_out, disproof, proofs
from headrace.datasets.erasure.requests import record, request_of, requests
from headrace.datasets.erasure.residue_scan import where_named
from headrace.datasets.erasure.tombstone import tombstones
from headrace.datasets.governance.privacy_key import TEXT, PrivacyKey
from headrace.datasets.store.store import Store
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame
from tests.killing import child

FLIGHT = "F000100"


def run(root: Path) -> None:
    os.environ[TEXT] = "0123456789abcdef0123456789abcdef"
    key = PrivacyKey.find("a test")
    request = request_of({"flight": FLIGHT}, key, principal="dpo", reason="case 17")
    store = Store(root / "store")
    carry_out(store, record(store, request))


def prepared(root: Path) -> Path:
    """Three versions that hold the flight, and one dataset that does not."""
    rows = frame(300)
    for part, spec in ((rows, SPEC), (rows.slice(0, 250), SPEC), (rows.slice(50), SPEC)):
        release(spec, part, inputs=INPUTS, definitions=DEFINITIONS, mode="declared",
                code_revision="r1", store=root / "store")  # fmt: skip
    return root


def state_of(store: Store) -> tuple[dict[str, str], dict[str, str]]:
    return (
        {one.ref: one.content_hash for one in list_releases(store.root)},
        {one.ref: one.successor for one in tombstones(store)},
    )


@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_anywhere_it_ends_the_same(tmp_path, kills):
    whole = prepared(tmp_path / "whole")
    undisturbed = Path(shutil.copytree(whole, tmp_path / "undisturbed"))
    assert child(run, undisturbed) == 0
    expected = state_of(Store(undisturbed / "store"))
    calls = int((undisturbed / "calls").read_text())
    chance = random.Random(7)
    for number in range(kills):
        root = Path(shutil.copytree(whole, tmp_path / f"killed{number}"))
        last = calls * number // kills + chance.randrange(calls // kills)
        assert child(run, root, last) == -9
        store = Store(root / "store")
        for line in list_releases(store.root):  # never a half release
            assert headrace.open(line.ref, store.root).verify().ok
        for stone in tombstones(store):
            with pytest.raises(StateError):
                headrace.open(stone.ref, store.root)
        assert child(run, root) == 0
        assert state_of(store) == expected

        assert where_named(store.root, {"flight": FLIGHT}) == []
        assert [disproof(one) for one in proofs(store, requests(store)[0])] == ["", "", ""]
        shutil.rmtree(root)
