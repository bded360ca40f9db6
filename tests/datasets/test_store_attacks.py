"""What was altered, exchanged, linked or forged is refused with an error that says so."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.core.errors import HeadraceError, StateError
from headrace.core.files import digest
from headrace.datasets.store.store import Store
from headrace.datasets.store.verify import verify, verify_ref
from tests.datasets.test_release import made
from tests.examples import examples

MAKING = ("created_at", "manifest_id")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    root = tmp_path_factory.mktemp("clean") / "store"
    made(root)
    return root


@pytest.fixture
def store(clean, tmp_path):
    shutil.copytree(clean, tmp_path / "store")
    return Store(tmp_path / "store")


def manifest_path(store):
    return store.root / "datasets/delays/1.0.0/manifest.json"


def form_of(store):
    return json.loads(manifest_path(store).read_text())


def forge(store, form):
    """Write a manifest as whoever may write to the store could: with an identity that fits."""
    inner = {key: value for key, value in form.items() if key not in MAKING}
    form = {**form, "manifest_id": digest(inner)}
    manifest_path(store).write_text(json.dumps(form))


def at(form, path, value):
    """`form` with the value at a path such as ("splits", "train", "rows")."""
    if not path:
        return value(form) if callable(value) else value
    first, *rest = path
    copy = list(form) if isinstance(form, list) else dict(form)
    copy[first] = at(copy.get(first) if isinstance(copy, dict) else copy[first], rest, value)
    return copy


def told(given):
    """The same in every process: a function has no name of its own."""
    return "changed" if callable(given) else str(given)[:40]


PART = ("splits", "train", "parts", 0)
CHANGES = [
    (("rows",), 5),
    (("content_hash",), "0" * 64),
    (("reasons",), ["trust me"]),
    (("inputs", "weather", "licence"), "CC0-1.0 OR MIT"),
    (("splits", "train", "statistics", "late", "mean"), 0.5),
    ((*PART, "object"), "0" * 64),
]


@pytest.mark.parametrize("path, value", CHANGES, ids=told)
def test_an_altered_manifest_is_refused(store, path, value):
    manifest_path(store).write_text(json.dumps(at(form_of(store), path, value)))
    with pytest.raises(StateError, match="altered after its release"):
        headrace.open("delays", store.root)
    found = verify_ref(store, "delays", "1.0.0")
    assert not found.ok
    assert found.problems[0].startswith("manifest: ")


FORGED = [
    (("rows",), 5),
    (("rows",), "many"),
    (("rows",), 10**30),
    (("content_hash",), "0" * 64),
    (("name",), "../delays"),
    (("version",), "1.0.0/../../x"),
    (("splits", "train", "rows"), 10**30),
    (("splits", "train", "row_sum"), "xyz"),
    (("splits", "train", "row_sum"), None),
    (("splits", "train", "parts"), []),
    (("splits", "train", "parts"), lambda parts: [*parts, *parts]),
    (("splits", "train", "parts"), {"0": {}}),
    (("splits", "dev"), lambda _: {}),
    (("splits",), lambda splits: {"train": splits["train"]}),
    ((*PART, "object"), "../../../etc/passwd"),
    ((*PART, "object"), "0" * 63 + "G"),
    ((*PART, "object"), 7),
    ((*PART, "object"), None),
    ((*PART, "bytes"), -1),
    ((*PART, "bytes"), "9"),
    ((*PART, "bytes"), True),
    ((*PART, "rows"), 1.5),
    ((*PART, "rows"), lambda rows: rows + 1),
    ((*PART, "row_sum"), "0" * 64),
    ((*PART, "first"), 5),
    ((*PART, "surprise"), 5),
    (("columns", 0, "type"), "object"),
    (("columns", 0, "name"), ["flight"]),
    (("columns",), lambda columns: [*columns, columns[0]]),
    (("columns",), lambda columns: columns[1:]),
    (("columns",), None),
    (("label",), None),
    (("label",), {}),
    (("label", "target"), "nothing"),
    (("inputs", "weather", "batch_list"), "../../secrets"),
    (("inputs", "weather", "batch_list"), 5),
    (("inputs",), []),
    (("lineage",), "/etc/passwd"),
    (("coverage",), 5),
    (("fits",), {"scaler": "../x"}),
    (("fits",), 5),
    (("format",), 3),
    (("format",), True),
    (("format",), None),
]


@pytest.mark.parametrize("path, value", FORGED, ids=told)
def test_a_forged_manifest_that_does_not_add_up_is_refused(store, path, value):
    forge(store, at(form_of(store), path, value))
    with pytest.raises(StateError):
        headrace.open("delays", store.root)
    assert not verify_ref(store, "delays", "1.0.0").ok


TEXTS = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b"\xff\xfe",
    b'{"format": 2}',
    b'{"format": 2, "rows": Infinity}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"format": ' + b"9" * 5_000 + b"}",
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: str(text[:20]))
def test_a_manifest_that_is_no_document_is_refused(store, text):
    manifest_path(store).write_bytes(text)
    with pytest.raises(StateError):
        headrace.open("delays", store.root)


def test_numbers_and_text_without_a_canonical_form_are_refused(store):
    for text in ('"\\ud800"', "NaN", "1e999"):
        whole = manifest_path(store).read_text()
        manifest_path(store).write_text(
            whole.replace('"description": "made up"', f'"description": {text}')
        )
        with pytest.raises(StateError):
            headrace.open("delays", store.root)
        manifest_path(store).write_text(whole)
    assert headrace.open("delays", store.root).verify().ok


def test_a_manifest_of_monstrous_size_is_not_read(store):
    os.truncate(manifest_path(store), 1 << 40)  # sparse: it takes no room
    with pytest.raises(StateError, match="larger than"):
        headrace.open("delays", store.root)


def test_a_manifest_filed_under_another_name_is_refused(store):
    for place in ("datasets/delays/2.0.0", "datasets/other/1.0.0"):
        shutil.copytree(store.root / "datasets/delays/1.0.0", store.root / place)
    for ref in ("delays@2.0.0", "other@1.0.0"):
        with pytest.raises(StateError, match="filed under another name"):
            headrace.open(ref, store.root)


def test_an_alias_leads_to_releases_alone(store):
    path = store.root / "datasets/delays/aliases/champion.json"
    path.parent.mkdir()
    for version in ("../../etc", "9.9.9", None, {}):
        path.write_text(json.dumps({"version": version}))
        with pytest.raises(StateError, match="there is no"):
            headrace.open("delays@champion", store.root)
    path.write_text("[]")
    with pytest.raises(StateError, match="cannot be read"):
        headrace.open("delays@champion", store.root)


LINKED = ["datasets", "datasets/delays", "datasets/delays/1.0.0", "objects",
          "datasets/delays/1.0.0/manifest.json"]  # fmt: skip


@pytest.mark.parametrize("path", LINKED)
def test_links_are_not_followed(store, tmp_path, path):
    (store.root / path).rename(tmp_path / "elsewhere")
    (store.root / path).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError):
        _ = headrace.open("delays@1.0.0", store.root).arrow
    with pytest.raises(HeadraceError):
        made(store.root, mode="recorded")


def object_paths(store):
    manifest = store.manifest("delays", "1.0.0")
    return {
        name: store.object_path(split.parts[0].object, "parquet")
        for name, split in manifest.splits.items()
    }


def exchanged(paths):
    paths["train"].rename(paths["train"].with_suffix(".x"))
    paths["test"].rename(paths["train"])
    paths["train"].with_suffix(".x").rename(paths["test"])


def rewritten(paths):
    """The same rows in another layout: another object, under the name of this one."""
    pq.write_table(pq.read_table(paths["train"]), paths["train"], compression="none")


DAMAGE = {
    "exchanged": exchanged,
    "rewritten": rewritten,
    "cut": lambda paths: os.truncate(paths["train"], 1_000),
    "longer": lambda paths: paths["train"].write_bytes(paths["train"].read_bytes() + b"x"),
    "zeros": lambda paths: paths["train"].write_bytes(bytes(paths["train"].stat().st_size)),
    "empty": lambda paths: paths["train"].write_bytes(b""),
    "gone": lambda paths: paths["train"].unlink(),
    "folder": lambda paths: (paths["train"].unlink(), paths["train"].mkdir()),
    "link": lambda paths: (
        shutil.copy(paths["train"], paths["train"].with_suffix(".bak")),
        paths["train"].unlink(),
        paths["train"].symlink_to(paths["train"].with_suffix(".bak")),
    ),
    "device": lambda paths: (paths["train"].unlink(), paths["train"].symlink_to("/dev/zero")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_object_is_refused(store, damage):
    manifest = store.manifest("delays", "1.0.0")
    DAMAGE[damage](object_paths(store))
    with pytest.raises(StateError) as caught:
        _ = headrace.open("delays", store.root, split="train").arrow
    assert caught.value.fix
    with pytest.raises(StateError):
        next(headrace.open("delays", store.root, split="train").batches())
    found = verify(store, manifest)
    assert not found.ok
    assert found.problems[0].startswith("train: ")


@settings(max_examples=examples(30), deadline=None)
@given(st.data())
def test_a_flipped_bit_is_always_found(clean, tmp_path_factory, data):
    store = Store(shutil.copytree(clean, tmp_path_factory.mktemp("bit") / "store"))
    path = data.draw(st.sampled_from(sorted((store.root / "objects").iterdir())))
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[place // 8] ^= 1 << place % 8
    path.write_bytes(whole)
    assert not verify_ref(store, "delays", "1.0.0").ok


# Objects that fit their name, in a manifest that fits its identity: whoever may write to the store
# can make them. What they hold cannot be right: the sums of the rows are not theirs to choose.


def test_a_batch_list_that_was_exchanged_is_found(store):
    manifest = store.manifest("delays", "1.0.0")
    listed = manifest.inputs["outcomes"].batch_list
    (store.root / f"objects/{listed}.json").write_text('["b9"]')
    assert "batches of outcomes: " in verify(store, manifest).problems[0]
    with pytest.raises(StateError, match="holds other bytes"):
        store.get_json(listed)
