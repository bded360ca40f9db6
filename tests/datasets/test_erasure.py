"""Erasing somebody: gone from every object and loader, proven by subtraction, at whatever crash."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import headrace
from headrace.cli.app import app
from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError, ExpiredError, RefusedError, StateError
from headrace.core.home import Home
from headrace.core.permissions import Grant, PermissionPolicy, local_user
from headrace.datasets import Leakage, content_sum, list_releases, release
from headrace.datasets.erasure.erase import carry_out, disproof, finish, proofs, search
from headrace.datasets.erasure.requests import record, request_of, requests
from headrace.datasets.erasure.residue_scan import where_named, where_stored
from headrace.datasets.erasure.tombstone import GoneError, tombstone, tombstones
from headrace.datasets.fits.transforms import Impute, Vocabulary
from headrace.datasets.governance.privacy import Generalise, Pseudonymise
from headrace.datasets.governance.privacy_key import FILE, TEXT, PrivacyKey
from headrace.datasets.store.store import Store
from headrace.datasets.taint import openings_of
from headrace.operations.erasure import erase
from headrace.operations.retirement import retire
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame, put
from tests.datasets.stores import store_at

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
ANN = "ann.smith-4711"
ROWS = frame(1_200)
PLACES = (3, 4, 500, 900, 1_100)


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.delenv(FILE, raising=False)
    monkeypatch.setenv(TEXT, SECRET)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def with_people(rows=ROWS, name=ANN, places=PLACES):
    """A spine column `who`; `name` in some rows of every split, among other people."""
    people = np.array([f"person {n % 97}" for n in range(rows.num_rows)], dtype=object)
    people[[place for place in places if place < len(people)]] = name
    return rows.append_column("who", pa.array(people.tolist()))


def made(store, rows, spec=SPEC, **changes):
    given = {
        "inputs": INPUTS,
        "definitions": DEFINITIONS,
        "mode": "declared",
        "code_revision": "r1",
        **changes,
    }
    return release(spec, rows, store=store.root, **given)


def asked(entity, **more):
    key = PrivacyKey.find("a test")
    return request_of(entity, key, principal="dpo", reason="case 17, on request", **more)


def erased(store, entity=None, **more):
    return carry_out(store, record(store, asked(entity or {"who": ANN}, **more)))


def versions_of_a_year(store):
    """Three versions: all rows, half of them, and another spec of them all; ann is in each."""
    rows = with_people()
    first = made(store, rows)
    half = made(store, rows.slice(0, 1_000))
    other = made(store, rows, replace(SPEC, description="again"))
    return first, half, other


def test_gone_from_every_object_and_every_loader(store):
    old = versions_of_a_year(store)
    bystander = made(store, with_people(places=()), replace(SPEC, name="others"))
    before = {one.ref: headrace.open(one.ref, store.root).arrow for one in old}
    done = erased(store)
    assert [one.old for one in done] == [one.ref for one in old]
    assert [one.new for one in done] == ["delays@1.0.1", "delays@1.1.1", "delays@1.2.1"]
    for one in done:
        table = headrace.open(one.new, store.root).arrow
        was = before[one.old]
        mask = pa.compute.equal(was["who"], ANN)
        assert table.equals(was.filter(pa.compute.invert(mask)))
        assert one.erased == pa.compute.sum(mask).as_py() > 0
        assert headrace.open(one.new, store.root).verify().ok
        # The subtraction, by the public function alone.
        assert content_sum(was) - content_sum(was.filter(mask)) == content_sum(table)
        with pytest.raises(GoneError, match="case 17") as caught:
            headrace.open(one.old, store.root)
        assert one.new in caught.value.fix
    assert where_named(store.root, {"who": ANN}) == []
    assert headrace.open("others", store.root).content_hash == bystander.content_hash
    refs = [one.ref for one in list_releases(store.root)]
    assert refs == sorted([*(one.new for one in done), bystander.ref])


def test_latest_means_the_same_content_as_before(store):
    *_, latest = versions_of_a_year(store)
    done = erased(store)
    successor = next(one.new for one in done if one.old == latest.ref)
    assert headrace.open("delays@latest", store.root).ref == successor
    with pytest.raises(GoneError):
        store.resolve(latest.ref)


def test_whoever_was_erased_does_not_come_back(store):
    rows = with_people()
    made(store, rows)
    (one,) = erased(store)
    again = made(store, rows)  # from tables that hold her still
    assert again.ref == one.new
    longer = made(store, rows.append_column("extra", pa.array(range(rows.num_rows))))
    assert ANN not in headrace.open(longer.ref, store.root).arrow["who"].to_pylist()
    assert [entry["because"] for entry in longer.erasures] == ["case 17, on request"]
    assert longer.version not in {"1.0.0", "1.0.1"}
    assert where_named(store.root, {"who": ANN}) == []


def test_the_proof_stands_alone_and_can_fail(store):
    versions_of_a_year(store)
    erased(store)
    (request,) = requests(store)
    found = proofs(store, request)
    assert len(found) == 3
    for proof in found:
        assert disproof(proof) == ""
        assert ANN not in json.dumps(proof)
    good = found[0]
    forged = [
        {**good, "erased": {**good["erased"], "rows": 1}},
        {**good, "erased": {"rows": 0, "sum": "0" * 64}},
        {**good, "new": {**good["new"], "sum": good["old"]["sum"]}},
        {**good, "old": {**good["old"], "content_hash": "0" * 64}},
    ]
    assert all(disproof(one) for one in forged)


def test_again_changes_nothing(store):
    versions_of_a_year(store)
    erased(store)
    before = bytes_of(store)
    assert erased(store) == []
    assert finish(store) == []
    assert bytes_of(store) == before


def test_what_is_not_there_changes_nothing_but_is_on_the_record(store):
    made(store, with_people(places=()))
    before = bytes_of(store)
    assert erased(store) == []
    assert set(bytes_of(store)) - set(before) == {f"erasures/{requests(store)[0].id}/request.json"}
    found = search(store, asked({"nobody": "x"}))
    assert (found.affected, found.unsearched) == ((), ("delays@1.0.0",))


def test_by_number_and_by_a_key_of_several_columns(store):
    rows = with_people()
    distance = rows["distance"][3].as_py()
    origin = rows["origin"][3].as_py()
    made(store, rows)
    (one,) = erased(store, {"distance": str(distance), "origin": origin})
    left = headrace.open(one.new, store.root).arrow
    both = zip(left["distance"].to_pylist(), left["origin"].to_pylist(), strict=True)
    assert (distance, origin) not in set(both)
    assert ANN in left["who"].to_pylist()


def test_a_pseudonym_is_found_by_the_name(store):
    rows = with_people()
    spec = replace(SPEC, privacy={"who": Pseudonymise()})
    made(store, rows, spec)
    shown = PrivacyKey.find("a test").pseudonym(ANN)
    assert shown in headrace.open("delays", store.root).arrow["who"].to_pylist()
    (one,) = erased(store)
    assert shown not in headrace.open(one.new, store.root).arrow["who"].to_pylist()
    assert where_named(store.root, {"who": shown}) == []
    assert made(store, rows, spec).ref == one.new


def test_only_of_one_dataset(store):
    made(store, with_people())
    made(store, with_people(), replace(SPEC, name="others"))
    (one,) = erased(store, datasets=["others"])
    assert one.old == "others@1.0.0"
    assert headrace.open("delays@1.0.0", store.root)


def test_the_record_names_nobody_and_needs_the_key_of_then(store, monkeypatch, tmp_path):
    made(store, with_people())
    erased(store)
    assert ANN not in "".join(map(repr, bytes_of(store).values()))
    monkeypatch.setenv(TEXT, OTHER)
    with pytest.raises(StateError, match="which is not set here") as caught:
        made(store, with_people())
    assert "another line" in caught.value.fix
    (tmp_path / "keys").write_text(f"{OTHER}\n{SECRET}\n")
    monkeypatch.setenv(FILE, str(tmp_path / "keys"))
    assert made(store, with_people()).version == "1.0.1"
    for reason in ("", f"because {ANN} asked"):
        with pytest.raises(DeclarationError, match="reason is empty, or contains"):
            request_of({"who": ANN}, PrivacyKey.find("x"), principal="p", reason=reason)
    with pytest.raises(DeclarationError, match="names no person"):
        request_of({}, PrivacyKey.find("x"), principal="p", reason="r")


class CrashError(Exception):
    """A process that ends here."""


def bytes_of(store):
    return {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for path in sorted(store.root.rglob("*"))
        if path.is_file()
    }


def crashing(monkeypatch, store, after):
    """From now on, the `after`-th change of the store does not happen, and nothing after it."""
    counter = itertools.count()
    kind = type(store.storage)
    for name in ("create", "put_file", "replace", "delete"):
        real = getattr(kind, name)

        def broken(self, *args, _real=real, **kwargs):
            if next(counter) >= after:
                raise CrashError
            return _real(self, *args, **kwargs)

        monkeypatch.setattr(kind, name, broken)
    return counter


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_crash_at_any_change_of_the_store_is_finished(tmp_path, monkeypatch, stride):
    """Every place at which it can stop: never a half release, and the rerun ends in one state."""
    rows = with_people(frame(240), places=(3, 4, 100, 200))
    made(Store(tmp_path / "whole"), rows)
    made(Store(tmp_path / "whole"), rows.slice(0, 200))
    expected = None
    for after in itertools.count(0, stride):
        store = Store(shutil.copytree(tmp_path / "whole", tmp_path / str(after)))
        with monkeypatch.context() as patch:
            crashing(patch, store, after)
            try:
                erased(store)
                crashed = False
            except CrashError:
                crashed = True
        for line in list_releases(store.root):
            assert headrace.open(line.ref, store.root).verify().ok
        erased(store)
        assert finish(store) == []
        assert where_named(store.root, {"who": ANN}) == []
        left = {one.ref: one.content_hash for one in list_releases(store.root)}
        stones = {one.ref: one.successor for one in tombstones(store)}
        assert expected in (None, (left, stones))
        expected = (left, stones)
        assert all(disproof(one) == "" for one in proofs(store, requests(store)[0]))
        if not crashed:
            assert after > 10
            break


def test_finishing_needs_no_name(store, monkeypatch):
    made(store, with_people())
    with monkeypatch.context() as patch:
        crashing(patch, store, 1)  # the request, and no more
        with pytest.raises(CrashError):
            erased(store)
    (one,) = finish(store)
    assert one.new == "delays@1.0.1"
    assert tombstone(store, "delays", "1.0.0").successor == one.new


def test_a_damaged_release_is_not_erased_by_guesswork(store):
    """What cannot be read cannot be proven: the old release stays until it can be."""
    made(store, with_people())
    part = store.manifest("delays", "1.0.0").splits["train"].parts[0]
    path = store.object_path(part.object, "parquet")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StateError):
        erased(store)
    assert tombstones(store) == []


def test_past_its_retention_it_refuses_unless_somebody_says_why(store):
    kept = {"until_us": 1_500_000_000_000_000, "because": "visits may be kept for 30 days"}
    made(store, with_people(), retention=kept)
    with pytest.raises(ExpiredError, match=r"2017-07-14.*may be kept for 30 days") as caught:
        headrace.open("delays", store.root)
    assert "headrace dataset retire delays@1.0.0" in caught.value.fix
    opened = headrace.open("delays", store.root, allow_expired="the audit of 2018")
    assert len(opened) > 0
    manifest = store.manifest("delays", "1.0.0")
    assert [line["reason"] for line in openings_of(store, manifest)] == ["the audit of 2018"]


def test_a_retired_release_leaves_its_hash_and_its_number(store):
    first = made(store, with_people())
    second = made(store, with_people().slice(0, 900))
    home = Home(store.root.parent / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADRACE_STORE", str(store.root))
        (done,) = retire(home, second.ref, principal=local_user(), reason="nobody uses it")
        with pytest.raises(DeclarationError):
            retire(home, None, principal=local_user(), reason="x")
    assert done["content_hash"] == second.content_hash
    with pytest.raises(GoneError, match=r"retired by .* nobody uses it"):
        headrace.open(second.ref, store.root)
    assert headrace.open("delays", store.root).ref == first.ref
    assert headrace.open("delays", store.root).verify().ok
    again = made(store, with_people().slice(0, 900))
    assert again.version == "1.2.0"
    with pytest.raises(GoneError):
        store.publish(second)


def test_in_a_bucket(tmp_path, monkeypatch):
    store = store_at("bucket", tmp_path, monkeypatch)
    rows = with_people()
    first = made(store, rows)
    assert where_stored(store.storage, {"who": ANN})
    (one,) = erased(store)
    assert where_stored(store.storage, {"who": ANN}) == []
    assert headrace.open(one.new, store.root).verify().ok
    with pytest.raises(GoneError):
        headrace.open(first.ref, store.root)
    assert made(store, rows).ref == one.new


def test_asked_for_while_a_release_is_made(store, monkeypatch):
    """Between the look at who is erased and the manifest: the release comes out without her."""
    real = Store.publish

    def meanwhile(self, manifest):
        if manifest.name == SPEC.name and not requests(self):
            record(self, asked({"who": ANN}))
        real(self, manifest)

    monkeypatch.setattr(Store, "publish", meanwhile)
    found = made(store, with_people())
    assert found.version == "1.0.1"
    assert where_named(store.root, {"who": ANN}) == []
    assert [one.ref for one in tombstones(store)] == ["delays@1.0.0"]


def test_what_was_learnt_from_her_is_learnt_anew_or_gone(store):
    spec = replace(SPEC, fits=(Vocabulary(("calendar__carrier",)),))
    rows = put(with_people(), "calendar__carrier", pa.array(["XX-her-own"] * 5 + ["AA"] * 1_195))
    rows = put(rows, "who", pa.array([ANN] * 5 + ["bo"] * 1_195))
    first = made(store, rows, spec)
    by_hand = store.put_json({"vocabulary": [ANN, "bo"]})
    second = made(store, rows, replace(spec, fits=()), fits={"who": by_hand})
    done = {one.old: one.new for one in erased(store)}
    fitted = store.manifest(*done[first.ref].split("@"))
    (document,) = [store.get_json(one) for one in fitted.fits.values()]
    assert "XX-her-own" not in json.dumps(document)
    assert "AA" in json.dumps(document)
    assert store.manifest(*done[second.ref].split("@")).fits == {}
    assert where_named(store.root, {"who": ANN}) == []
    assert where_named(store.root, {"calendar__carrier": "XX-her-own"}) == []


def test_nobody_is_named_by_the_coverage_report_alone(store):
    """A row without a label is in no split, so that no erasure would find whom it names."""
    moments, reasons = ROWS["t"].to_pylist(), ROWS["label_reason"].to_pylist()
    late = parse_iso("2013-04-02")
    place = next(n for n, t in enumerate(moments) if t > late and reasons[n] == "cancelled")
    few = np.array([f"person {n % 7}" for n in range(ROWS.num_rows)], dtype=object)
    few[place] = ANN
    manifest = made(store, ROWS.append_column("who", pa.array(few.tolist())))
    assert search(store, asked({"who": ANN})).affected == ()
    assert where_stored(store.storage, {"who": ANN}) == []
    report = store.get_json(manifest.coverage)
    assert report["columns"]["who"]["unseen"] > 0, "counted it is"
    assert {one["value"] for one in report["segments"]["who"]} == {f"person {n}" for n in range(7)}


def test_whole_numbers_that_are_floats_are_found(store):
    numbers = [float(n % 50) if n % 3 else None for n in range(ROWS.num_rows)]
    rows = ROWS.append_column("customer", pa.array(numbers, pa.float64()))
    old = made(store, rows)
    (done,) = erased(store, {"customer": "41"})
    assert (
        done.erased
        == sum(
            one == 41.0 for one in headrace.open(done.new, store.root).arrow["customer"].to_pylist()
        )
        + done.proof["erased"]["rows"]
    )
    assert old.rows - done.erased == store.manifest("delays", "1.0.1").rows
    assert 41.0 not in headrace.open("delays", store.root).df["customer"].to_list()
    again = made(store, rows, replace(SPEC, description="from the same tables"))
    assert 41.0 not in headrace.open(again.ref, store.root).df["customer"].to_list()


@pytest.mark.parametrize("kind", ["binary", "generalised"])
def test_where_nobody_can_be_told_it_says_so(store, kind):
    spec, people = SPEC, [f"person {n % 97}" for n in range(ROWS.num_rows)]
    if kind == "binary":
        rows = ROWS.append_column("who", pa.array([one.encode() for one in people], pa.binary()))
    else:
        rows = ROWS.append_column("who", pa.array(people))
        spec = replace(SPEC, privacy={"who": Generalise(6)})
    manifest = made(store, rows, spec)
    assert search(store, asked({"who": "person 3"})).unsearched == (manifest.ref,)


def test_no_copy_of_a_remote_object_stays_on_the_machine(tmp_path, monkeypatch):
    store, cache = store_at("bucket", tmp_path, monkeypatch), tmp_path / "cache"
    monkeypatch.setenv("HEADRACE_CACHE", str(cache))
    old = made(store, with_people())
    assert ANN in headrace.open(old.ref, store.root).df["who"].to_list()
    elsewhere = tmp_path / "cache of another machine"
    shutil.copytree(cache, elsewhere)
    erased(store)
    assert where_named(cache, {"who": ANN}) == []
    monkeypatch.setenv("HEADRACE_CACHE", str(elsewhere))
    assert where_named(elsewhere, {"who": ANN})
    with pytest.raises(GoneError):
        headrace.open(old.ref, store.root)
    assert where_named(elsewhere, {"who": ANN}) == []


def test_names_that_are_nearly_numbers(store, tmp_path):
    made(store, with_people(name="--5"))
    assert erased(store, {"who": "--5"})
    assert where_named(store.root, {"distance": "9" * 30}) == []


def test_a_column_that_no_release_has_is_no_erasure_done(tmp_path, monkeypatch):
    home = Home(tmp_path)
    made(Store.find(home.store), with_people())
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.delenv("HEADRACE_STORE", raising=False)
    command = ["dataset", "erase", "--reason", "case 17", "--dry-run", "--entity"]
    for name, code in (("woh", 1), ("who", 0)):
        ended = CliRunner().invoke(app, [*command, f"{name}={ANN}"])
        assert ended.exit_code == code, ended.output
        assert ("NOT SEARCHED" in ended.output) == bool(code)
    assert requests(Store.find(home.store)) == []


def test_pseudonyms_of_an_earlier_key_are_found_as_long_as_it_is_given(tmp_path, monkeypatch):
    home = Home(tmp_path)
    store = Store.find(home.store)
    old = made(store, with_people(), replace(SPEC, privacy={"who": Pseudonymise()}))
    pseudonym = PrivacyKey.find("a test").pseudonym(ANN)
    monkeypatch.setenv(TEXT, OTHER)
    told = {"principal": local_user(), "reason": "case 17"}
    planned = erase(home, {"who": ANN}, dry_run=True, **told)
    assert (planned["releases"], planned["unsearched"]) == ([], [old.ref]), "and it says so"
    monkeypatch.setenv(TEXT, f"{OTHER}\n{SECRET}")
    done = erase(home, {"who": ANN}, **told)
    ((replaced, proof),) = zip(done["replaced"], done["proofs"], strict=True)
    assert replaced["old"] == old.ref
    assert (proof["problem"], replaced["erased"] > 1) == ("", True)
    assert pseudonym not in headrace.open("delays", store.root).df["who"].to_list()


def test_who_may_erase_from_one_dataset_erases_from_no_other(tmp_path):
    """Not even from its releases to come, for which a request of all would hold."""
    home = Home(tmp_path)
    store = Store.find(home.store)
    made(store, with_people())
    made(store, with_people(places=()), replace(SPEC, name="others"))
    policy = PermissionPolicy({"ann": Grant(frozenset({"erase"}), frozenset({"delays"}))})
    told = {"principal": "ann", "reason": "case 17", "policy": policy}
    with pytest.raises(DeclarationError, match="no dataset 'delay' to erase from"):
        erase(home, {"who": ANN}, datasets=["delay"], **told)
    with pytest.raises(RefusedError, match="on table others"):
        erase(home, {"who": ANN}, **told)
    assert requests(store) == []
    assert erase(home, {"who": ANN}, datasets=["delays"], **told)["replaced"]
    later = made(store, with_people(), replace(SPEC, name="others", description="with ann"))
    assert later.erasures == ()


def test_a_fit_that_was_of_the_erased_alone_holds_nothing_up(store):
    rows = with_people(places=range(5))
    only = pa.array([1.0 if one == ANN else None for one in rows["who"].to_pylist()])
    fits = (Impute(("weather__wind",), "mean"), Vocabulary(("who",)))
    spec = replace(SPEC, fits=fits, leakage=Leakage(because="a column is all but empty"))
    old = made(store, put(rows, "weather__wind", only), spec)
    assert set(old.fits) == {"weather__wind", "who"}
    (done,) = erased(store)
    assert set(store.manifest(*store.resolve(done.new)).fits) == {"who"}
