"""One body of tests for a folder and for a bucket: what a store may count on."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from headrace.core.errors import StateError
from headrace.datasets.store import storage as port
from headrace.datasets.store.bucket import Bucket
from headrace.datasets.store.storage import Folder, checked, storage_at
from tests.datasets.stores import PLACES, store_at


@pytest.fixture(params=PLACES)
def storage(request, tmp_path, monkeypatch):
    return store_at(request.param, tmp_path, monkeypatch).storage


def test_what_is_put_is_read_and_listed(storage):
    assert storage.walk("") == storage.walk("a") == []
    assert storage.create("a/b/c.json", b"one")
    assert storage.create("a/d.json", b"three")
    assert storage.read_bytes("a/b/c.json") == b"one"
    assert storage.size("a/d.json") == 5
    assert storage.size("a/nothing") is None
    assert storage.stat("a/nothing") is None
    listed = storage.walk("a")
    assert [(one.path, one.size) for one in listed] == [("a/b/c.json", 3), ("a/d.json", 5)]
    assert storage.walk("") == listed
    assert storage.walk("a/b") == listed[:1]
    assert abs(listed[0].modified - port.now_us()) < 60 * 10**6
    with storage.open("a/d.json") as handle:
        handle.seek(2)
        assert handle.read() == b"ree"


def test_a_new_file_is_created_once(storage):
    assert storage.create("a/x", b"first")
    assert not storage.create("a/x", b"second")
    assert storage.read_bytes("a/x") == b"first"


def test_of_many_creators_at_once_one_wins(storage):
    with ThreadPoolExecutor(8) as many:
        won = list(many.map(lambda n: storage.create("a/x", str(n).encode()), range(8)))
    assert sum(won) == 1
    assert storage.read_bytes("a/x") == str(won.index(True)).encode()
    assert [one.path for one in storage.walk("")] == ["a/x"]


def test_a_file_is_moved_in_and_refreshed(storage):
    for data, do in ((b"bytes", storage.put_file), (b"bytes", storage.refresh)):
        temporary = storage.temporary("x")
        temporary.write_bytes(data)
        do("objects/x", temporary)
        assert not temporary.exists()
        assert storage.read_bytes("objects/x") == data


def test_replacing_and_deleting(storage):
    storage.replace("a/alias", b"1")
    storage.replace("a/alias", b"22")
    assert storage.read_bytes("a/alias") == b"22"
    storage.delete("a/alias")
    storage.delete("a/alias")
    assert storage.size("a/alias") is None
    assert storage.leftovers() == []


def test_what_is_missing_says_where(storage):
    for read in (storage.read_bytes, storage.open):
        with pytest.raises(StateError, match="missing") as caught:
            read("a/nothing")
        assert caught.value.where.endswith("a/nothing")


def test_a_document_of_no_sensible_size_is_refused(storage, monkeypatch):
    storage.create("a/x", b"12345678")
    for module in ("store.storage", "store.bucket"):
        monkeypatch.setattr(f"headrace.datasets.{module}.MOST_BYTES", 7)
    with pytest.raises(StateError, match="larger than"):
        storage.read_bytes("a/x")


BAD = [
    *("", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", ".hidden", "a/.b", "a\\b", "a/b\n"),
    *("~", "a/ b", "-x", "a/\x00", "é"),
]


@pytest.mark.parametrize("path", BAD)
def test_a_path_that_leads_elsewhere_is_refused(storage, path):
    calls = [
        lambda: storage.read_bytes(path),
        lambda: storage.size(path),
        lambda: storage.create(path, b""),
        lambda: storage.replace(path, b""),
        lambda: storage.local_path(path),
    ]
    for call in calls:
        with pytest.raises(StateError, match="not a path"):
            call()


def test_good_paths_are_their_parts():
    assert checked("datasets/a_b/1.0.0/manifest.json") == (
        "datasets",
        "a_b",
        "1.0.0",
        "manifest.json",
    )


@pytest.mark.parametrize("at", ["a", "a/b", "a/b/x"])
def test_a_link_on_the_way_is_refused(tmp_path, at):
    """The folder of the store itself may be one: that is its owner's choice."""
    (tmp_path / "real/a/b").mkdir(parents=True)
    (tmp_path / "real/a/b/x").write_bytes(b"x")
    (tmp_path / "store").symlink_to(tmp_path / "real")
    storage = Folder(tmp_path / "store")
    assert storage.read_bytes("a/b/x") == b"x"
    path = tmp_path / "real" / at
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    for call in (storage.read_bytes, storage.open, storage.size, storage.delete, storage.stat):
        with pytest.raises(StateError, match="is a symbolic link"):
            call("a/b/x")
    with pytest.raises(StateError, match="is a symbolic link"):
        storage.create("a/b/x", b"new")
    assert (tmp_path / "elsewhere").exists()


def test_rights_that_lack_are_told(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(13, "Permission denied")

    storage = Folder(tmp_path)
    monkeypatch.setattr("headrace.datasets.store.storage.os.link", refused)
    with pytest.raises(StateError, match="Permission denied"):
        storage.create("a/x", b"1")
    assert storage.leftovers() == []


def test_an_address_of_a_bucket_is_checked():
    assert isinstance(storage_at("s3://bucket/prefix/"), Bucket)
    for bad in ("s3://", "s3://bucket/../x", "s3://bucket//x"):
        with pytest.raises(StateError, match="not a path"):
            storage_at(bad)


def test_a_server_without_conditions_is_refused(tmp_path, monkeypatch):
    """Some ignore the header, and would overwrite one release by another in silence."""
    import obstore

    storage = store_at("bucket", tmp_path, monkeypatch).storage
    real = obstore.put

    def careless(store, path, data, **options):
        return real(store, path, data, **{**options, "mode": "overwrite"})

    monkeypatch.setattr(obstore, "put", careless)
    with pytest.raises(StateError, match="ignores If-None-Match"):
        storage.create("a/x", b"1")
    assert storage.walk("") == []


def test_a_creation_whose_answer_was_lost_counts(tmp_path, monkeypatch):
    """The client asks again, and hears that it is there: it is its own."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    storage = store_at("bucket", tmp_path, monkeypatch).storage
    assert storage.create("a/y", b"0")
    real = obstore.put

    def lost(*given, **options):
        real(*given, **options)
        raise AlreadyExistsError("412")

    monkeypatch.setattr(obstore, "put", lost)
    assert storage.create("a/x", b"1")


def test_writing_to_a_bucket_without_the_client_says_what_to_install(tmp_path, monkeypatch):
    storage = store_at("bucket", tmp_path, monkeypatch).storage
    monkeypatch.setitem(__import__("sys").modules, "obstore", None)
    for call in (storage.create, storage.replace):
        with pytest.raises(StateError) as caught:
            call("a/x", b"1")
        assert caught.value.fix == "pip install 'headrace[s3]'"


def test_a_store_that_does_not_answer_is_an_error_and_no_hang(tmp_path, monkeypatch):
    storage = store_at("bucket", tmp_path, monkeypatch).storage
    nowhere = storage_at("s3://no-such-bucket-here/x")
    for call in (lambda: nowhere.read_bytes("a"), lambda: nowhere.replace("a", b"")):
        with pytest.raises(StateError):
            call()
    assert storage.walk("") == []
