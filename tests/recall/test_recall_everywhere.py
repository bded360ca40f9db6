"""One recall, from the table to the answers: as if the batch had never come, and marks of it."""

import json
import pkgutil
import shutil
from contextlib import closing

import pytest

import headrace
from headrace.core.errors import DeclarationError, RefusedError, TaintedError
from headrace.datasets import list_releases
from headrace.datasets.store.store import Store
from headrace.datasets.taint import active_recalls
from headrace.lake.ledger.conservation import table_status
from headrace.lake.ledger.ledger import Ledger
from headrace.lake.overrides.audit_trail import actions
from headrace.models import champion, open_model
from headrace.operations.recall import reach, recall, restore
from headrace.pipeline import build_release, train_model
from headrace.pipeline.build import feature_frame
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.serving.endpoint import endpoint
from headrace.pipeline.serving.services import materialise_online, online_service
from headrace.serving.http import ApiKeys, create_app, scorer
from tests.serving.world import DAYS, World, request_of
from tests.serving_http.server import serving

BAD = DAYS[5]


@pytest.fixture(autouse=True)
def only_the_local_user_may(monkeypatch, tmp_path):
    monkeypatch.setenv("HEADRACE_POLICY", str(tmp_path / "none.yaml"))
    for name in ("HEADRACE_PRINCIPAL", "HEADRACE_STORE", "HEADRACE_ONLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """All days published, released, trained on and in an online store; copied, never changed."""
    world = World(tmp_path_factory.mktemp("built"))
    world.deliver_days()
    world.publish()
    build_release(world.pipeline, world.home)
    train_model(world.pipeline, world.home)
    materialise_online(world.pipeline, world.home)
    return world


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """The oracle: the day was never delivered."""
    world = World(tmp_path_factory.mktemp("without"))
    world.deliver_days(without={("arrivals", BAD)})
    world.publish()
    return world


@pytest.fixture
def world(built, tmp_path):
    """At the same place as the one it is a copy of: the state holds absolute paths."""
    kept = tmp_path / "kept"
    shutil.copytree(built.home.root, kept)
    yield built
    shutil.rmtree(built.home.root)
    shutil.copytree(kept, built.home.root)


def act(verb, world, which=BAD, *, table="arrivals", principal=None, reason="a loose sensor"):
    do = {"recall": recall, "restore": restore}[verb]
    who = principal or local()
    declared = world.pipeline.table(table)
    return do(world.home, declared, which, principal=who, reason=reason, pipelines=[world.pipeline])


def local():
    from headrace.core.permissions import local_user

    return local_user()


def frame(world):
    return feature_frame(BuildContext(world.pipeline, world.home))


def answers(world, rows):
    service = online_service(world.pipeline, world.home)
    with closing(service.store):
        return service.vectors([(request_of(row), row["t"]) for row in rows]).values


def test_everything_is_as_if_the_batch_had_never_come(world, without):
    rows = frame(world).select(["trip", "line", "stop", "due", "fare", "t"]).to_pylist()
    found = act("recall", world)
    assert found["state"] == "recalled"
    assert found["incomplete"] == []
    assert frame(world).equals(frame(without))  # training, computed anew
    materialise_online(without.pipeline, without.home)
    assert answers(world, rows) == answers(without, rows)  # serving, at once
    assert found["stores"][0]["keys_renewed"] > 0
    status = table_status(world.home, world.pipeline.table("arrivals"))
    other = table_status(without.home, without.pipeline.table("arrivals"))
    assert status["published"] == other["published"]
    assert status["rejected"] == status["recalled"]["rows"] == 40


def test_what_held_it_refuses_to_open_until_there_is_something_clean(world):
    old, first = champion(world.home, "line_late"), "line_lateness@1.0.0"
    found = act("recall", world)
    assert [one["ref"] for one in found["releases"]] == [first]
    assert found["models"] == [{"ref": old.ref, "champion": True}]
    with pytest.raises(TaintedError, match=f"arrivals .{BAD}., recalled by {local()}"):
        headrace.open(first, world.home.store)
    with pytest.raises(TaintedError):
        open_model(world.home, old.ref)
    with pytest.raises(TaintedError):  # nobody trains on it by habit
        train_model(world.pipeline, world.home)
    assert champion(world.home, "line_late") == old
    build_release(world.pipeline, world.home)
    fresh = headrace.open("line_lateness", world.home.store)
    assert fresh.ref == "line_lateness@1.1.0"
    assert fresh.taints == ()
    train_model(world.pipeline, world.home)
    assert open_model(world.home, "line_late").dataset == fresh.ref
    assert [bool(one.tainted) for one in list_releases(world.home.store)] == [True, False]


def test_a_restoration_brings_all_of_it_back(world):
    before, ref = frame(world), "line_lateness@1.0.0"
    rows = before.select(["trip", "line", "stop", "due", "fare", "t"]).slice(200, 60).to_pylist()
    said = answers(world, rows)
    act("recall", world)
    assert not frame(world).equals(before)
    done = act("restore", world, reason="the sensor was fine")
    assert (done["state"], done["incomplete"]) == ("published", [])
    assert frame(world).equals(before)
    assert answers(world, rows) == said
    assert headrace.open(ref, world.home.store).taints == ()
    with Ledger(world.home) as ledger:
        assert [one.action for one in actions(ledger)] == ["recall", "restore"]
    assert not act("restore", world)["decided_now"]
    with pytest.raises(RefusedError, match="is published, not recalled"):
        act("restore", world, DAYS[0])
    with Ledger(world.home) as ledger:
        assert [one.allowed for one in actions(ledger)] == [True, True, False]


def test_looking_changes_nothing(world):
    before = tree(world.home.root)
    found = reach(world.home, world.pipeline.table("arrivals"), BAD, pipelines=[world.pipeline])
    assert found["published_rows"] == 40
    assert found["releases"][0]["tainted"] is False
    (reading,) = found["readers"]
    assert reading["views"] == ["line", "stop"]
    assert "busy" in reading["features"]  # a transform of both
    assert "fare_cents" not in reading["features"]
    assert (reading["label"], reading["spine"]) == (True, False)
    assert found["stores"] == ["lines"]
    assert tree(world.home.root) == before
    json.dumps(found)


def tree(folder):
    kept = {".mdb", ".sqlite-shm", ".sqlite-wal", ".sqlite"}
    return {
        str(path): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in kept
    }


def test_the_policy_decides_and_refusals_are_on_the_record(world):
    with pytest.raises(RefusedError, match="eve is not listed"):
        act("recall", world, principal="eve")
    assert active_recalls(Store(world.home.store)) == {}
    headrace.open("line_lateness", world.home.store)
    with Ledger(world.home) as ledger:
        (tried,) = actions(ledger)
    assert (tried.principal, tried.action, tried.allowed) == ("eve", "recall", False)
    assert tried.note == "refused: eve is not listed in the policy"


def test_what_names_no_batch_or_several(world):
    with pytest.raises(DeclarationError, match="no batch in slot"):
        act("recall", world, "1999-01-01")
    world.deliver("arrivals", BAD, world.rows(BAD)["arrivals"][:3], "_again")
    world.publish("arrivals")
    with pytest.raises(DeclarationError, match="2 batches of arrivals match"):
        act("recall", world)
    (world.folder / f"arrivals_{BAD}_again.csv").unlink()


STEPS = {
    "the taint": "headrace.operations.recall.note",
    "the ledger": "headrace.lake.ledger.ledger.Ledger.mark_recalled",
    "the table": "headrace.lake.tables.lake.Lake.withdraw",
    "its end": "headrace.lake.ledger.ledger.Ledger.mark_unpublished",
    "the stores": "headrace.operations.recall._renewed",
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_cut_short_anywhere_the_same_call_does_the_rest(world, without, monkeypatch, step, after):
    real = pkgutil.resolve_name(STEPS[step])

    def dies(*given, **named):
        if after:
            real(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(STEPS[step], dies)
        with pytest.raises(KeyboardInterrupt):
            act("recall", world)
    if active_recalls(Store(world.home.store)):
        with pytest.raises(TaintedError):
            headrace.open("line_lateness", world.home.store)
    else:  # nothing at all has happened
        headrace.open("line_lateness", world.home.store)
        assert table_status(world.home, world.pipeline.table("arrivals"))["rejected"] == 0
    found = act("recall", world)
    assert found["state"] == "recalled"
    with pytest.raises(TaintedError):
        headrace.open("line_lateness", world.home.store)
    with Ledger(world.home) as ledger:
        assert [one.action for one in actions(ledger)] == ["recall"]
    row = frame(without).select(["trip", "line", "stop", "due", "fare", "t"]).slice(300, 5)
    materialise_online(without.pipeline, without.home)
    assert answers(world, row.to_pylist()) == answers(without, row.to_pylist())


def test_a_taint_without_a_recall_can_be_lifted(world, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "mark_recalled", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            act("recall", world)
    act("restore", world, reason="it was not meant")
    headrace.open("line_lateness", world.home.store)
    with Ledger(world.home) as ledger:
        assert [one.action for one in actions(ledger)] == ["restore"]


def test_a_store_that_cannot_be_reached_does_not_hold_up_the_recall(world, monkeypatch):
    monkeypatch.setenv("HEADRACE_ONLINE", "redis://127.0.0.1:1/0")
    found = act("recall", world)
    assert found["state"] == "recalled"
    (told,) = found["incomplete"]
    assert "headrace online sync lines" in told
    with pytest.raises(TaintedError):
        headrace.open("line_lateness", world.home.store)


def test_the_model_in_charge_goes_on_answering_and_says_that_it_is_tainted(
    world, monkeypatch, caplog
):
    monkeypatch.setattr(scorer, "LOOK_EVERY", 0.0)
    due = "2024-03-10T02:00:00Z"
    request = {"trip": 1, "line": "A", "stop": "north", "due": due, "fare": 1.05}
    made = endpoint(world.pipeline, world.home, keys=ApiKeys(), log_share=0)
    with serving(create_app(made)) as client:
        status, clean = client.predictions(request, at=f"{DAYS[9]}T00:00:00Z")
        assert (status, "tainted" in clean) == (200, False)
        assert client.ask("GET", "/healthz") == (200, {"status": "alive"})
        assert "headrace_model_taints 0.0" in client.ask("GET", "/metrics")[1]
        act("recall", world)
        status, marked = client.predictions(request, at=f"{DAYS[9]}T00:00:00Z")
        assert status == 200
        assert marked["model"] == clean["model"]
        assert "a loose sensor" in marked["tainted"][0]
        for status, told in (client.ask("GET", "/healthz"), client.ready()):
            assert status == 200
            assert "model line_late is tainted: batch" in told["warnings"][0]
        assert "headrace_model_taints 1.0" in client.ask("GET", "/metrics")[1]
        assert len([one for one in caplog.records if "continues to answer" in one.message]) == 1
        build_release(world.pipeline, world.home)
        train_model(world.pipeline, world.home)
        status, fresh = client.predictions(request, at=f"{DAYS[9]}T00:00:00Z")
        assert fresh["model"] != clean["model"]
        assert "tainted" not in fresh
        assert client.ask("GET", "/healthz") == (200, {"status": "alive"})


def test_a_damaged_release_does_not_hold_up_the_recall(world):
    manifest = world.home.store / "datasets/line_lateness/1.0.0/manifest.json"
    manifest.write_text(manifest.read_text().replace('"rows"', '"rows "', 1))
    found = act("recall", world)
    assert (found["state"], found["committed_now"]) == ("recalled", True)
    assert "cannot be determined" in found["incomplete"][0]


def test_restored_rows_are_usable_later_also_in_stored_views(tmp_path):
    """In recorded mode the same file, published again, is another one."""
    world = World(tmp_path, mode="recorded")
    world.deliver_days()
    world.publish()
    world.commit_on_time()
    before = frame(world)
    act("recall", world)
    act("restore", world)
    now = frame(world)
    shutil.rmtree(world.home.root / "features")
    assert now.equals(frame(world))
    assert not now.equals(before)
