"""A model that was trained on a recalled batch does not open; the one in charge goes on, marked."""

from dataclasses import replace

import pytest

import headrace
from headrace.core.errors import DeclarationError, StateError, TaintedError
from headrace.datasets.store.store import Store
from headrace.datasets.taint import Recall, note, openings
from headrace.models import (
    challenge,
    champion,
    list_models,
    model_taints,
    open_model,
    pointer,
    promote,
    registry,
    train,
)
from headrace.models.compare import ModelComparison
from tests.models.conftest import MODEL, released

BAD = Recall("recalled", "outcomes", "b2", "2013-02-12", 1_700_000_000_000_000, "ana", "bad")


def recall(home):
    note(Store(home.store), BAD)


def test_it_opens_by_name_until_its_data_is_recalled(record, home):
    assert open_model(home, record.ref) == record
    recall(home)
    with pytest.raises(TaintedError) as caught:
        open_model(home, record.ref)
    for part in (record.ref, "trained on delays@1.0.0", "batch b2 of outcomes", "ana", "bad"):
        assert part in str(caught.value)
    assert open_model(home, record.ref, allow_tainted="to compare") == record
    (line,) = openings(home.models / "late" / "opened.ndjson")
    assert line["reason"] == f"{record.ref}: to compare"
    assert [one.ref for one in list_models(home)] == [record.ref]
    note(Store(home.store), replace(BAD, event="restored"))
    assert open_model(home, record.ref) == record


def test_the_champion_stays_in_charge_and_is_marked(record, home):
    promote(home, record, "first")
    recall(home)
    assert champion(home, "late") == record
    assert model_taints(home, record) == (BAD,)
    for ref in ("late", "late@champion"):
        with pytest.raises(TaintedError):
            open_model(home, ref)


def test_a_tainted_model_is_not_put_in_charge(record, dataset, home):
    twin = train(dataset, replace(MODEL, seed=10), home)
    promote(home, record, "first")
    recall(home)
    with pytest.raises(TaintedError):
        promote(home, twin, "roll back")
    assert champion(home, "late") == record
    promote(home, twin, "roll back", allow_tainted="the other one is broken")
    assert champion(home, "late") == twin


@pytest.mark.parametrize(("tainted", "promoted"), [(False, False), (True, True)])
def test_against_a_tainted_champion_the_burden_of_proof_turns_round(
    record, dataset, home, monkeypatch, tainted, promoted
):
    """The challenger may be better or worse: nobody can tell."""
    promote(home, record, "first")
    if tainted:
        recall(home)
    clean = replace(train(dataset, replace(MODEL, seed=10), home), dataset="elsewhere@1.0.0")
    unsure = {"low": -0.1, "high": 0.1, "difference": 0.0}
    found = ModelComparison(900, 9, 0.0, 0.0, unsure)
    monkeypatch.setattr(registry, "compare", lambda *_, **__: found)
    result = challenge(home, clean, dataset)
    assert result.promoted is promoted
    assert ("tainted" in result.reason) is tainted


def test_references_that_name_nothing(record, home):
    with pytest.raises(StateError, match="model late has no champion"):
        open_model(home, "late")
    with pytest.raises(StateError, match="there is no model late@0"):
        open_model(home, "late@0" * 2)
    with pytest.raises(DeclarationError, match="is not a model"):
        open_model(home, "../late@0")


def test_training_on_a_tainted_release_gives_a_tainted_model(home):
    released(home)
    recall(home)
    opened = headrace.open("delays", home.store, allow_tainted="to see")
    record = train(opened, MODEL, home)
    with pytest.raises(TaintedError):
        promote(home, record, "first")
    assert pointer(home, "late") is None
