"""Files in a drop folder that no source reads, and the reason that is given for each."""

import pytest

from headrace.cli.project.status import _short
from headrace.sources.files import DropFolder
from headrace.sources.unmatched_files import FolderReader, unmatched_files


def readers(root):
    orders = DropFolder("orders", root, "orders_{slot}*.csv", "shop")
    stock = DropFolder("stock", root, "stock_{slot}.zip", "shop")
    shops = DropFolder("shops", root, "shops_{slot}.csv", "shop")
    return [
        FolderReader("orders", orders, lambda slot: "2024-01-01" <= slot <= "2024-12-31"),
        FolderReader("stock", stock, lambda slot: "2024-01-01" <= slot <= "2024-12-31"),
        FolderReader("shops", shops, lambda slot: slot == "snapshot"),
    ]


READ = ("orders_2024-01-01.csv", "orders_2024-01-01_again.csv.gz", "orders_2024-02-29.csv.zst",
        "stock_2024-01-01.zip", "shops_snapshot.csv", "orders_2024-01-01.csv.part",
        ".orders_2024-01-01.csv")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "table", "hint"),
    [
        ("orders_20240101.csv", "orders", "write the day as YYYY-MM-DD"),
        ("orders_2025-01-01.csv", "orders", "table orders expects no delivery for 2025-01-01"),
        ("Orders_2024-01-01.csv", "orders", "upper and lower case matter"),
        ("orders_2024-01-01.xlsx", "orders", ".xlsx is not read here: deliver .csv or .gz or .zst"),
        ("stock_2024-01-01.csv", "stock", ".csv is not read here: deliver .zip"),
        ("order-2024-01-01.csv", "orders", "rename it to fit orders_{slot}*.csv"),
        ("shops_2024-01-01.csv", "shops", "table shops expects no delivery for 2024-01-01"),
    ],
)
def test_a_file_that_nobody_reads_is_listed_with_its_likeliest_reason(tmp_path, name, table, hint):
    for read in READ:
        (tmp_path / read).write_bytes(b"id\n1\n")
    (tmp_path / "done").mkdir()
    (tmp_path / "done" / "orders.csv").write_bytes(b"")
    assert unmatched_files(str(tmp_path), readers(tmp_path)) == []
    (tmp_path / name).write_bytes(b"id\n")
    (found,) = unmatched_files(str(tmp_path), readers(tmp_path))
    assert (found.path, found.size, found.table) == (str(tmp_path / name), 3, table)
    assert hint in found.hint


def test_a_folder_that_is_not_there_has_no_files(tmp_path):
    assert unmatched_files(str(tmp_path / "gone"), readers(tmp_path / "gone")) == []


def test_status_shows_files_from_the_projects_folder_on(tmp_path, monkeypatch):
    """A table cuts long paths at their end, where the name of the file is."""
    (tmp_path / "pyproject.toml").write_text("[tool.headrace]\npipelines = []\n")
    monkeypatch.chdir(tmp_path)
    assert _short(str(tmp_path / "deliveries/a.zip")) == "deliveries/a.zip"
    assert _short("/elsewhere/a.zip") == "/elsewhere/a.zip"
