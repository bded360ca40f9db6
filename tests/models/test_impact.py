from dataclasses import replace

import headrace
from headrace.datasets import release
from headrace.lineage import batches_of, impact
from headrace.models import promote, train
from tests.datasets.frames import DEFINITIONS, INPUTS, SPEC, frame
from tests.models.conftest import MODEL


def test_a_batch_names_the_releases_and_models_that_hold_it(record, dataset, home):
    assert batches_of(dataset.manifest, home) == {
        "outcomes": ["b1", "b2", "b3"],
        "weather": ["w1"],
    }
    corrected = {**INPUTS, "outcomes": replace(INPUTS["outcomes"], batches=("b1", "b3", "b4"))}
    release(
        SPEC,
        frame(seed=1),
        inputs=corrected,
        definitions=DEFINITIONS,
        mode="declared",
        code_revision="r1",
        store=home.store,
    )
    later = train(headrace.open("delays@1.1.0", home.store), MODEL, home)
    promote(home, later, "newer")

    def reached(batch):
        found = impact(home, batch)
        return [one.ref for one in found.releases], set(found.models), found.champions

    assert reached("b2") == (["delays@1.0.0"], {record.ref}, ())
    assert reached("b4") == (["delays@1.1.0"], {later.ref}, (later.ref,))
    assert reached("b1")[0] == ["delays@1.0.0", "delays@1.1.0"]
    assert reached("w1")[1] == {record.ref, later.ref}
    assert reached("nobody's") == ([], set(), ())
    assert impact(home, "b2").releases[0].tables == ("outcomes",)
