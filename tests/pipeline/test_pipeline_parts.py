"""A pipeline is a name and its parts: the names that they read are checked when it is declared."""

import re
import sys
from dataclasses import replace

import pytest

from headrace.core.errors import DeclarationError
from headrace.features import Spine
from headrace.features.spec import RowTransform
from headrace.pipeline import Pipeline
from headrace.pipeline.load import load_pipeline
from headrace.pipeline.parts import find_cycle
from tests.serving.world import LAST, TABLES, VIEWS, World

FIRST_TEN = "2024-03-01"


@pytest.fixture(scope="module")
def declared(tmp_path_factory) -> Pipeline:
    return World(tmp_path_factory.mktemp("lines")).pipeline


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("tables"))
    return tuple(world.table(name) for name in TABLES)


@pytest.fixture
def parts(declared, tables) -> dict:
    """Two datasets with their own spines, three models, a monitor for each."""
    late = replace(declared.dataset, spine=declared.spine)
    few = replace(
        late, name="few_late", views=("line", "stop"), spine=Spine("plan", "-1h", ("line", "stop"))
    )
    models = [
        replace(declared.model, name=name, dataset=dataset)
        for name, dataset in (("a", late.name), ("b", late.name), ("c", few.name))
    ]
    return {
        "name": "lines",
        "tables": tables,
        "views": VIEWS,
        "datasets": (late, few),
        "models": tuple(models),
        "monitors": tuple(
            replace(declared.monitor, name=f"watch_{model.name}", model=model.name)
            for model in models
        ),
        "first_slot": FIRST_TEN,
        "last_slot": LAST,
    }


def refused(parts: dict, **changed) -> DeclarationError:
    with pytest.raises(DeclarationError) as caught:
        Pipeline(**{**parts, **changed})
    return caught.value


def test_the_short_forms_declare_the_same_parts(declared):
    long = Pipeline(
        name=declared.name,
        tables=declared.tables,
        views=declared.views,
        datasets=(replace(declared.dataset, spine=declared.spine),),
        models=(declared.model,),
        monitors=(declared.monitor,),
        first_slot=declared.first_slot,
        last_slot=declared.last_slot,
    )
    assert long.spine == declared.spine
    assert long.dataset.label_form() == declared.dataset.label_form()
    assert (long.model, long.monitor, long.views) == (declared.model, declared.monitor, VIEWS)
    assert replace(declared, model=replace(declared.model, seed=8)).model.seed == 8
    assert [part is declared for part in declared.each_monitor()] == [True]


def test_tables_alone_are_a_pipeline(tables):
    alone = Pipeline(name="lines", tables=tables, first_slot=FIRST_TEN, last_slot=LAST)
    assert alone.each_dataset() == alone.each_model() == alone.each_monitor() == []
    for kind in ("dataset", "model", "monitor"):
        with pytest.raises(DeclarationError, match=f"pipeline lines has no {kind}") as caught:
            getattr(alone, kind)
        assert caught.value.fix == f"declare one: Pipeline(..., {kind}s=(...,))"
    with pytest.raises(DeclarationError, match="has no table"):
        Pipeline(name="lines", tables=(), first_slot=FIRST_TEN, last_slot=LAST)


def test_each_part_has_a_pipeline_of_what_it_reads(parts):
    whole = Pipeline(**parts)
    late, few = whole.each_dataset()
    assert (late.dataset.name, [model.name for model in late.models]) == (
        "line_lateness",
        ["a", "b"],
    )
    assert [view.name for view in few.views] == ["line", "stop"]
    assert few.spine.at_offset == "-1h"
    assert [part.monitor.name for part in whole.each_model()] == ["watch_a", "watch_b", "watch_c"]
    assert whole.for_monitor("watch_c").dataset.name == "few_late"
    assert late.for_model("b") == whole.for_model("b")
    assert (late.rows_scope, few.rows_scope, few.vector_scope) == ("", "few_late", "few_late")
    assert whole.for_model("c").full_pipeline is whole
    with pytest.raises(DeclarationError, match="has 2 datasets") as caught:
        _ = whole.dataset
    assert caught.value.fix == "name one: --dataset with one of line_lateness, few_late"
    with pytest.raises(DeclarationError, match="has 2 models"):
        _ = late.model


def test_datasets_with_the_same_rows_share_the_materialised_views(parts):
    late, few = parts["datasets"]
    same = Pipeline(**{**parts, "datasets": (late, replace(few, spine=late.spine))})
    assert same.for_dataset("few_late").rows_scope == ""
    assert same.for_dataset("few_late").vector_scope == "few_late"  # of other views


@pytest.mark.parametrize("kind", ["tables", "views", "datasets", "models", "monitors"])
def test_two_parts_of_one_name_are_refused(parts, kind):
    part = parts[kind][0]
    error = refused(parts, **{kind: (*parts[kind], part)})
    assert error.what == f"{kind} declared twice: {part.name}"
    assert error.where.startswith(f"pipeline lines, {kind.removesuffix('s')} {part.name}")
    assert error.fix == f"give one {kind.removesuffix('s')} another name, or remove it"


def test_a_name_that_no_part_has_is_refused(parts):
    late, few = parts["datasets"]
    a, b, c = parts["models"]
    error = refused(parts, models=(a, b, replace(c, dataset="lateness")))
    assert error.what == "model c names dataset 'lateness', which does not exist"
    assert error.where == "pipeline lines, model c"
    assert error.fix == "one of line_lateness, few_late"
    error = refused(parts, datasets=(late, replace(few, views=("line", "weather*"))))
    assert error.what == "dataset few_late names view 'weather*', which does not exist"
    assert error.fix.startswith("one of line, stop")
    error = refused(parts, monitors=(replace(parts["monitors"][0], model="d"),))
    assert error.what == "monitor watch_a names model 'd', which does not exist"
    error = refused(parts, monitors=(replace(parts["monitors"][0], model=""),))
    assert error.what == "monitor watch_a names no model, and there are 3: a, b, c"
    assert error.fix == "name one: MonitorSpec(..., model='a')"
    error = refused(parts, models=(), datasets=(), monitors=(parts["monitors"][0],))
    assert (error.what, error.fix) == (
        "monitor watch_a names model 'a', which does not exist",
        "declare one: Pipeline(..., models=(...,))",
    )
    error = refused(parts, datasets=(late, replace(few, spine=None)))
    assert error.what == "dataset few_late has no spine, so it has no rows"
    assert error.fix == 'name the table of its rows: DatasetSpec(..., spine=Spine("TABLE"))'


def test_a_part_of_another_class_is_refused(parts):
    late, few = parts["datasets"]
    error = refused(parts, datasets=(late, few, parts["models"][0]))
    assert "is a ModelSpec, not a DatasetSpec" in error.what
    assert error.where == "pipeline lines, number 2 of datasets"
    error = refused(parts, models=parts["models"][0])
    assert error.what == "models is a ModelSpec, not a tuple of parts"
    assert error.fix == "write a tuple of ModelSpec, with a comma: models=(PART,)"
    error = refused(parts, dataset=late)
    assert error.what == "dataset declares one dataset, but datasets declares 2"
    error = refused(parts, derived=())
    assert error.what == "a pipeline has no derived"


def test_parts_that_read_each_other_are_refused(parts):
    loop = [
        RowTransform(name, (read,), lambda column: column, "int64")
        for name, read in (("first", "third"), ("second", "first"), ("third", "second"))
    ]
    error = refused(parts, views=(*VIEWS, *loop))
    assert error.what == "row transforms read each other: first -> third -> second -> first"
    assert "row transform third" in error.where
    assert error.fix == "compute second from columns that do not depend on first"


def test_a_cycle_is_found_whereever_it_is():
    assert find_cycle({"a": ["b", "c"], "b": ["c"], "c": []}) == ()
    assert find_cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ("b", "c", "b")
    assert find_cycle({"a": ["a"]}) == ("a", "a")


PROJECT = """
from dataclasses import replace
from {package}.parts import PIPELINE as WHOLE, MODEL

PIPELINE = replace(
    WHOLE, models=(MODEL,)
)
"""
PARTS = """
from dataclasses import replace
from pathlib import Path
from tests.serving.world import World

PIPELINE = World(Path({folder!r})).pipeline
MODEL = replace(PIPELINE.model, {change})
"""


@pytest.mark.parametrize(
    ("change", "file", "what"),
    [
        ("dataset='other'", "parts.py", "model line_late names dataset 'other'"),
        ("name='Bad name'", "parts.py", "not a model name"),
    ],
)
def test_an_error_names_the_file_of_the_part(tmp_path, monkeypatch, change, file, what):
    package = f"refused_{re.sub(r'[^a-z]', '', change)}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(PROJECT.format(package=package))
    parts = PARTS.format(folder=str(tmp_path), change=change)
    (tmp_path / package / "parts.py").write_text(parts)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeclarationError, match=what) as caught:
        load_pipeline(package)
    assert str(tmp_path / package / file) in caught.value.where
    sys.modules.pop(f"{package}.parts", None)


def test_an_error_names_the_line_of_the_pipeline_if_the_part_has_no_name(tmp_path, monkeypatch):
    source = PARTS.format(folder=str(tmp_path), change="seed=8") + (
        "PIPELINE = replace(\n    PIPELINE, model=replace(MODEL, dataset='other')\n)\n"
    )
    (tmp_path / "unnamed_part.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DeclarationError, match="names dataset 'other'") as caught:
        load_pipeline("unnamed_part")
    assert f"{tmp_path / 'unnamed_part.py'}:8" in caught.value.where
