"""What a pipeline declares is checked when it is made, and all of it decides what is current."""

from dataclasses import replace

import pytest

from headrace.core.clock import parse_iso
from headrace.core.errors import DeclarationError
from headrace.datasets import Impute, Leakage, release
from headrace.datasets.card import Statement
from headrace.datasets.governance.privacy import Drop
from headrace.features import FeatureView, Rows, Sum, Window
from headrace.pipeline.staleness import build_key
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame
from tests.serving.world import DAYS, VIEWS


@pytest.mark.parametrize(
    ("view", "says"),
    [
        (FeatureView("bad", "gauges", ("stop",), (Sum("wind", Window("-1d")),)), "float sums"),
        (FeatureView("bad", "arrivals", ("stop",), (Rows(Window("0s", "1d")),)), "planned table"),
        (FeatureView("bad", "arrivals", ("nobody",), (Rows(Window("-1d")),)), "no column 'nobody'"),
    ],
)
def test_a_pipeline_refuses_what_does_not_fit_its_contracts(world, view, says):
    with pytest.raises(DeclarationError, match=says):
        replace(world.pipeline, views=(*VIEWS, view))


def test_a_pipeline_is_not_current_under_other_declarations(world):
    world.deliver_days(DAYS[:1])
    world.publish()
    plain = world.pipeline
    others = [
        replace(plain, spine=replace(plain.spine, at_offset="-1h")),
        replace(plain, spine=replace(plain.spine, columns=("line", "stop", "fare", "due"))),
        replace(plain, views=VIEWS[:-1]),
        replace(plain, mode="recorded"),
        replace(plain, dataset=replace(plain.dataset, cutoff="2024-03-17")),
        replace(plain, model=replace(plain.model, num_rounds=21)),
        *(
            replace(plain, dataset=replace(plain.dataset, **declared))
            for declared in (
                {"fits": (Impute(("*",), by="median"),)},
                {"privacy": {"line": Drop()}},
                {"leakage": Leakage(share=0.5)},
                {"card": (Statement("contact", "the desk", "ann"),)},
                {"commercial": False},
            )
        ),
    ]
    keys = [build_key(one, world.home) for one in (plain, *others)]
    assert len(set(keys)) == len(keys)
    assert build_key(replace(plain), world.home) == keys[0]


def test_a_window_that_has_closed_is_to_be_judged_though_nothing_was_delivered(world, monkeypatch):
    keys = []
    for text in ("2024-03-08T01:00:00Z", "2024-03-09", "2024-03-15", "2024-03-29"):
        moment = parse_iso(text)
        monkeypatch.setattr("headrace.pipeline.staleness.now_us", lambda at=moment: at)
        keys.append(build_key(world.pipeline, world.home))
    assert keys[0] == keys[1] != keys[2]
    assert keys[2] == keys[3]  # the last slot is over


def test_another_release_in_its_place_is_to_be_trained_on(world):
    """As an erasure leaves it: the tables are what they were, the latest release is not."""
    world.deliver_days(DAYS[:1])
    world.publish()
    pipeline = replace(
        world.pipeline,
        dataset=replace(world.pipeline.dataset, name=SPEC.name),
        model=replace(world.pipeline.model, dataset=SPEC.name),
    )
    given = {"inputs": INPUTS, "definitions": DEFINITIONS, "mode": "recorded", "code_revision": "r"}
    keys = []
    for rows in (400, 300):
        release(SPEC, frame(rows), store=world.home.store, **given)
        keys.append(build_key(pipeline, world.home))
    assert keys[0] != keys[1]
