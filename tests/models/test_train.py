import json
import os
import pickletools
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError, StateError
from headrace.core.files import canonical_json
from headrace.core.home import Home
from headrace.datasets import Evaluation, Impute, Scale, Vocabulary, evaluation_access
from headrace.datasets.fits.fits import Fits, encode
from headrace.datasets.fits.fitting import fit
from headrace.datasets.fits.release_fits import fits_of
from headrace.models import challenge, evaluate, list_models, load_record, predict, promote, train
from headrace.models.record import write_bundle
from headrace.models.spec import FIXED
from headrace.serving.http.scorer import Scorer
from tests.datasets.frames import DEFINITIONS, frame, put
from tests.models.conftest import MODEL, released


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_record_holds_all_that_serving_needs(record, dataset):
    assert record.dataset == "delays@1.0.0"
    assert record.content_hash == dataset.content_hash
    assert tuple(column.name for column in record.features) == dataset.manifest.features
    assert record.definitions == DEFINITIONS
    assert set(files(record.path)) == {
        *("model.txt", "baseline.txt", "fits.json", "model.json", "metrics.json", "created.json")
    }
    assert files(record.path)["model.txt"].startswith(b"tree\n")
    for data in files(record.path).values():
        with pytest.raises((ValueError, NotImplementedError)):
            list(pickletools.genops(data))


def test_the_model_beats_what_knows_no_history(record):
    metrics = record.metrics
    assert metrics["against_baseline"]["beats"]
    assert metrics["against_constant"]["beats"]
    assert metrics["model"]["log_loss"] < metrics["baseline"]["log_loss"]
    assert metrics["model"]["auc"] > 0.7
    assert "the model beats the baseline" in metrics["against_baseline"]["says"]
    assert sum(one["rows"] for one in metrics["calibration"]) == metrics["rows"]
    for lines in metrics["segments"].values():
        assert sum(line["rows"] for line in lines) == metrics["rows"]
    assert [line["value"] for line in metrics["segments"]["origin"]] == ["EWR", "JFK", "LGA"]


def test_evaluate_says_what_training_said(record, dataset):
    again = evaluate(record, dataset, rounds=MODEL.bootstrap, seed=MODEL.seed)
    assert again == {name: record.metrics[name] for name in again}


def test_training_again_is_a_no_op(record, dataset, home, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # importing it now would fail
    assert train(dataset, MODEL, home) == record


def test_other_inputs_are_another_bundle(record, dataset, home):
    other = train(dataset, replace(MODEL, seed=8), home)
    assert other.bundle_id != record.bundle_id
    assert {one.bundle_id for one in list_models(home)} == {other.bundle_id, record.bundle_id}
    moved = train(dataset, replace(MODEL, margin=0.5), home)
    assert moved == record, "the margin decides about promotion, not about training"


FRESH = """
    import os, sys
    from pathlib import Path
    sys.path.insert(0, os.getcwd())
    from headrace.core.home import Home
    from headrace.models import train
    from tests.models.conftest import MODEL, released
    home = Home(Path(sys.argv[1]))
    print(train(released(home), MODEL, home).bundle_id)
"""


def test_two_fresh_processes_give_the_same_bytes(record, tmp_path):
    found = []
    for n, threads in enumerate(("1", "4")):
        environment = {**os.environ, "PYTHONPATH": "src", "OMP_NUM_THREADS": threads}
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FRESH), str(tmp_path / f"home_{n}")],
            capture_output=True,
            text=True,
            env={**environment, "PYTHONHASHSEED": str(n)},
            check=True,
        )
        found.append(run.stdout.strip())
    assert found == [record.bundle_id] * 2


@pytest.mark.parametrize("split_at", ["2013-03-01", "2013-04-01"])
def test_changing_later_rows_moves_no_byte_of_a_fit(split_at, tmp_path):
    rows = frame()
    t = rows.column("t").to_numpy()
    carrier = np.array(rows.column("calendar__carrier").to_pylist(), dtype=object)
    later = t >= np.datetime64(split_at).astype("datetime64[us]").astype(np.int64)
    changed = put(rows, "calendar__carrier", pa.array(np.where(later, "NEW", carrier)))
    fits = []
    for n, given in enumerate((rows, changed)):
        home = Home(tmp_path / str(n))
        fits.append(files(train(released(home, given), MODEL, home).path)["fits.json"])
    assert fits[0] == fits[1]


def test_vocabulary_and_encoding():
    rows = pa.table(
        {"c": ["b", None, "a", "b"], "x": [1, None, 3, 4], "f": [True, False, None, True]}
    )
    fits = fit(rows, ["c"])
    assert fits.vocabularies == {"c": ("a", "b")}
    assert Fits.from_json(json.loads(fits.to_bytes())) == fits
    from headrace.datasets.manifest import ManifestColumn

    columns = [
        ManifestColumn(*one, "feature") for one in (("c", "string"), ("x", "int64"), ("f", "bool"))
    ]
    seen = encode(put(rows, "c", pa.array(["b", None, "new", "a"])), columns, fits)
    expected = [[1, 1, 1], [np.nan, np.nan, 0], [np.nan, 3, np.nan], [0, 4, 1]]
    np.testing.assert_array_equal(seen, expected)
    with pytest.raises(DeclarationError, match="'x' is float64, the model was trained on int64"):
        encode(put(rows, "x", pa.array([1.0] * 4)), columns, fits)
    with pytest.raises(DeclarationError, match="needs column 'f'"):
        encode(rows.drop_columns(["f"]), columns, fits)


def test_predict_refuses_features_of_another_definition(record, dataset):
    table = dataset.split("test").arrow
    assert len(predict(record, table, definitions=DEFINITIONS)) == table.num_rows
    for changed in ({**DEFINITIONS, "weather": "0" * 64}, {}):
        with pytest.raises(DeclarationError, match="weather"):
            predict(record, table, definitions=changed)
    extra = {**DEFINITIONS, "unused": "0" * 64}
    assert len(predict(record, table.slice(0, 0), definitions=extra)) == 0


def test_a_row_alone_is_scored_as_among_others(record, dataset):
    table = dataset.split("test").arrow
    together = predict(record, table, definitions=DEFINITIONS)
    for n in range(0, table.num_rows, 97):
        assert predict(record, table.slice(n, 1), definitions=DEFINITIONS)[0] == together[n]


def test_an_altered_bundle_is_refused(record, home):
    (record.path / "model.txt").write_bytes((record.path / "model.txt").read_bytes() + b" ")
    with pytest.raises(StateError, match="altered"):
        load_record(home, "late", record.bundle_id)
    with pytest.raises(StateError, match=record.bundle_id[:12]):
        load_record(home, "late", "0" * 64)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"baseline": ("nothing*",)}, r"baseline: no column matches 'nothing\*'"),
        ({"features": ("late",)}, "features: no column matches 'late'"),
        ({"dataset": "other"}, "declared on other"),
    ],
)
def test_declarations_that_do_not_fit(dataset, home, changes, says):
    with pytest.raises(DeclarationError, match=says):
        train(dataset, replace(MODEL, **changes), home)
    with pytest.raises(DeclarationError, match="are fixed"):
        replace(MODEL, params={"num_threads": 3})


def test_context_adds_columns_of_the_row(dataset, home):
    record = train(dataset, replace(MODEL, context=("origin",)), home)
    names = [column.name for column in record.features]
    assert names == ["origin", *dataset.manifest.features]
    assert record.fits().vocabularies["origin"] == ("EWR", "JFK", "LGA")


def test_without_test_rows_there_is_nothing_to_say(home):
    from tests.datasets.frames import SPEC

    record = train(released(home, cutoff=SPEC.splits.bounds[1]), MODEL, home)
    assert record.metrics["rows"] == 0


TRANSFORMS = (
    Impute(("carrier_1d__*",), "median", indicator=True),
    Scale(("carrier_1d__*", "weather__wind")),
    Vocabulary(("calendar__carrier",), min_count=50, unknown="own"),
)


def test_a_model_takes_the_fits_of_its_release_along(home, tmp_path):
    dataset = released(home, fits=TRANSFORMS)
    record = train(dataset, MODEL, home)
    kept = record.fits()
    assert dict(kept.steps) == dict(fits_of(dataset.store, dataset.manifest).steps)
    assert json.loads((record.path / "fits.json").read_bytes())["format"] == 2
    assert json.loads((record.path / "model.json").read_bytes())["format"] == 2
    assert record.metrics["gain"]["carrier_1d__delay_mean__missing"] >= 0
    assert record.metrics["model"]["auc"] > 0.7
    shutil.rmtree(dataset.store.root)  # a bundle needs no release
    table = frame(300, seed=9)
    together = predict(record, table, definitions=DEFINITIONS)
    for n in range(0, table.num_rows, 31):
        alone = predict(record, table.slice(n, 1), definitions=DEFINITIONS)
        assert alone[0] == together[n]


def test_a_server_applies_the_fits_of_the_bundle_bit_for_bit(home):
    record = train(released(home, fits=TRANSFORMS), MODEL, home)
    columns = [*(column.name for column in record.features), "t"]
    rows = frame(40, seed=3).select(columns).to_pylist()
    vectors = [SimpleNamespace(request={}, values=row, t=row["t"]) for row in rows]
    served = Scorer(home, "late")
    promote(home, record, "first")
    scores = served.current(DEFINITIONS).scores(vectors)
    assert scores == predict(record, frame(40, seed=3), definitions=DEFINITIONS).tolist()


def test_a_bundle_with_plain_vocabularies_is_what_it_was(record, dataset, home):
    """Declared with the dataset or found by the model: the same bytes, in format 1."""
    assert json.loads((record.path / "model.json").read_bytes())["format"] == 1
    declared = released(home, fits=(Vocabulary(("calendar__carrier",)),))
    assert declared.manifest.change == "PATCH"
    again = train(declared, MODEL, home)
    before, after = files(record.path), files(again.path)
    for name in ("fits.json", "model.txt", "baseline.txt"):
        assert before[name] == after[name]


def test_a_bundle_of_a_newer_format_is_refused(record, home):
    form = json.loads((record.path / "model.json").read_bytes())
    changed = {**files(record.path), "model.json": canonical_json({**form, "format": 5})}
    changed.pop("created.json")
    identity = write_bundle(home, "late", changed, {"trained_at": "2014-01-01T00:00:00Z"})
    with pytest.raises(StateError, match="format 5, this Headrace reads up to 4"):
        load_record(home, "late", identity)


def test_training_never_sees_the_evaluation_split(tmp_path):
    """Its objects are gone, and training does not notice; a look at it is counted."""
    apart = Evaluation(0.4, "2013-04-01")
    bundles = []
    for n, missing in enumerate((False, True)):
        home = Home(tmp_path / str(n))
        dataset = released(home, evaluation=apart)
        entry = dataset.manifest.splits["evaluation"]
        if missing:
            for part in entry.parts:
                dataset.store.object_path(part.object, "parquet").unlink()
        record = train(dataset, MODEL, home)
        challenge(home, record, dataset)
        bundles.append(record.bundle_id)
        assert evaluation_access.count(dataset.store, dataset.manifest) == 0
        if not missing:
            with pytest.raises(DeclarationError, match="needs a purpose"):
                evaluate(record, dataset, "evaluation")
            found = evaluate(record, dataset, "evaluation", rounds=50, purpose="the last word")
            assert found["rows"] == entry.rows
            assert evaluation_access.count(dataset.store, dataset.manifest) == 1
    assert bundles[0] == bundles[1]


def test_the_trees_are_the_same_by_any_number_of_threads(record, dataset, home, monkeypatch):
    """The count is written into the text, and nothing else of it; so it is fixed, not free."""

    def trees(text):
        return [line for line in text.splitlines() if not line.startswith("[num_threads")]

    for threads in (1, 4):
        monkeypatch.setitem(FIXED, "num_threads", threads)
        other = train(dataset, MODEL, home)
        assert trees(other.text()) == trees(record.text())
        assert other.text() != record.text()
