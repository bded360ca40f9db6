"""Drafts say what names and values say, keep persons out of git, and pass the gate they draft."""

import csv
import random
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from headrace.contracts import load_contract
from headrace.core.errors import DeclarationError
from headrace.core.home import Home
from headrace.gates import load_suite
from headrace.gates.suite_reader import parse_suite
from headrace.lake.ingest.protocol import ingest
from headrace.lake.table import Table
from headrace.lake.tables.lake import Lake
from headrace.scaffold import Ask, new_project
from headrace.scaffold.deliveries import deliveries
from headrace.scaffold.drafts import drafted
from headrace.scaffold.gate_rehearsal import Trial, rehearse
from headrace.scaffold.inspection.domains import domain_of, unit_of
from headrace.scaffold.inspection.file_inspection import InspectedColumn, look
from headrace.scaffold.inspection.personal import EMAIL, StandIns, is_personal, masked
from headrace.scaffold.suite import _text
from headrace.sources.files import DropFolder

HEADER = (
    "trip_id year month day dep_time arr_time email driver_name status price_usd quantity "
    "total_usd distance_km lat temp_c promo"
)
DAYS = 40
START = datetime.fromisoformat("2023-03-01")


def trips(path: Path) -> Path:
    """Forty days of trips: a split calendar, persons, codes, a product."""
    chance = random.Random(3)
    names = [
        f"{first} {last}" for first in ("Ana", "Bo", "Cy", "Di") for last in ("Ek", "Fu", "Go")
    ]
    with path.open("w", newline="") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(HEADER.split())
        for number in range(DAYS * 20):
            day = START + timedelta(days=number // 20)
            quantity, price = chance.randrange(1, 9), chance.randrange(200, 9900)
            name = chance.choice(names)
            mail = f"{name.replace(' ', '.').lower()}@mail-{name[:1]}.org"
            dep = chance.randrange(24) * 100 + chance.randrange(60)
            cells = [number, day.year, day.month, day.day, dep, (dep + 100) % 2400, mail, name]
            cells += [chance.choice("ABC"), f"{price / 100:.2f}", quantity]
            cells += [f"{price * quantity / 100:.2f}", round(chance.gauss(30, 4), 1)]
            cells += [round(chance.uniform(40, 41), 4), round(chance.gauss(20, 3), 1)]
            rows.writerow([*cells, chance.randrange(2)])
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trips")
    ask = Ask(
        trips(folder / "trips.csv"),
        "year,month,day,dep_time",
        ("trip_id",),
        entity=("driver_name",),
        zone="America/New_York",
    )
    return new_project("rides", ask, folder).root


@pytest.fixture(scope="module")
def contract(project):
    return load_contract(project / "pipelines/rides/contracts/trips.yaml")


@pytest.fixture(scope="module")
def suite(project, contract):
    return load_suite(project / "quality_suites/rides/trips.yaml", contract)


def test_units_and_relations_come_from_names_and_values(contract):
    units = {field.name: field.unit for field in contract.fields if field.unit}
    assert units == {
        "price_usd": "USD", "total_usd": "USD", "distance_km": "kilometre", "temp_c": "degC",
        "dep_time": "HHMM", "arr_time": "HHMM", "lat": "degree",
    }  # fmt: skip
    assert [one.name for one in contract.relations] == ["total_usd_is_price_usd_times_quantity"]


def test_hints_are_drafted_with_their_evidence_and_without_personal_values(project, contract):
    text = (project / "pipelines/rides/contracts/trips.yaml").read_text()
    plain = " ".join(line.strip().lstrip("# ") for line in text.splitlines())
    assert (
        "The name denotes latitude; its values (40.0017 to 40.9984) are usual in degree." in plain
    )
    assert "Closed set, for the suite: A, B, C. status has 3 values" in plain
    assert "email is equal to the last value of the same driver_name. 458 of 458 rows" in plain
    assert contract.field("email").explained_by == (("driver_name",),)
    assert "arr_time means; is its unit right?" in text
    assert "Question" not in text
    assert not any(personal in text for personal in ("Ana Ek", "ana.ek", "mail-A"))


def test_a_sum_of_columns_is_drafted_though_a_name_ends_like_an_id(tmp_path):
    path, chance = tmp_path / "loans.csv", random.Random(2)
    with path.open("w") as handle:
        handle.write("loan_id,at,fee,discount,paid\n")
        for number in range(200):
            fee, off = chance.randrange(200, 900), chance.randrange(10, 99)
            moment = START + timedelta(hours=number)
            handle.write(
                f"{number},{moment},{fee / 100:.2f},{off / 100:.2f},{(fee - off) / 100:.2f}\n"
            )
    found = drafted(look(Ask(path, "at", ("loan_id",))), "library")
    assert [one.name for one in found.contract.relations] == ["fee_is_discount_and_paid"]


def test_limits_are_those_of_a_domain_and_sets_are_closed(suite):
    checks = {one.id: one for one in suite.expectations}
    limits = {
        name: (checks[name].kwargs["min_value"], checks[name].kwargs["max_value"])
        for name in ("month", "day", "dep_time", "promo")
    }
    assert limits == {"month": (1, 12), "day": (1, 31), "dep_time": (0, 2400), "promo": (0, 1)}
    assert checks["status_known"].kwargs["value_set"] == ["A", "B", "C"]
    assert checks["status_known"].action == "quarantine"


def test_features_are_of_measures(project):
    text = (project / "pipelines/rides/features.py").read_text()
    measured = set(re.findall(r'(?:Mean|Std|Max|Last)\("(\w+)"', text))
    assert {"price_usd", "total_usd", "distance_km"} <= measured
    assert not measured & {
        "year",
        "month",
        "day",
        "dep_time",
        "arr_time",
        "trip_id",
        "lat",
        "email",
    }


def test_a_clock_without_a_date_is_known_a_day_later(project, contract):
    assert contract.known_at.expression.expression == (
        "greatest(event_time + INTERVAL 24 HOUR, corrected_at)"
    )
    text = (project / "pipelines/rides/contracts/trips.yaml").read_text()
    assert "# arr_time: clocks without a date" in text


def test_a_row_is_known_after_its_latest_moment(tmp_path):
    path = tmp_path / "orders.csv"
    rows = [
        f"{n},2024-03-{1 + n % 28:02} 10:00,2024-03-{1 + n % 28:02} {12 + n % 3}:00,2024-04-30"
        for n in range(100)
    ]
    path.write_text("id,ordered_at,closed_at,due_date\n" + "\n".join(rows) + "\n")
    found = drafted(look(Ask(path, "ordered_at", ("id",))), "shop")
    assert [one.column.name for one in found.delays.later] == ["closed_at"], "due is a plan"
    rule = found.contract.known_at.expression.expression
    latest = 'greatest(event_time, coalesce("closed_at_utc", event_time))'
    assert rule == f"greatest({latest} + INTERVAL 10 MINUTE, corrected_at)"
    known, event = found.table["known_at"].to_pylist(), found.table["event_time"].to_pylist()
    assert max(k - e for k, e in zip(known, event, strict=True)) == timedelta(hours=4, minutes=10)
    assert "complete only after closed_at" in found.contract_text


def test_a_drafted_table_takes_corrections(tmp_path):
    """The same row in another file is a conflict; with `corrected_at` it is a later version."""
    lines = [f"{n},2024-03-01T10:{n:02}:00Z,{n}.5" for n in range(60)]
    for name in ("orders.csv", "orders_2024-03-01.csv"):
        (tmp_path / name).write_text("id,ordered_at,amount\n" + "\n".join(lines) + "\n")
    found = drafted(look(Ask(tmp_path / "orders.csv", "ordered_at", ("id",))), "shop")
    path = tmp_path / "suite.yaml"
    meta = "{table: orders, version: 1, max_quarantined_share: 1}"
    path.write_text(f"name: shop.orders\nmeta: {meta}\nexpectations: []\n")
    source = DropFolder("orders", tmp_path, "orders_{slot}*.csv", "the shop")
    table = Table("orders", source, found.contract, load_suite(path))
    home = Home(tmp_path / "home")
    assert ingest(table, ["2024-03-01"], home)[0].published == 60
    (tmp_path / "orders_2024-03-01_2.csv").write_text(
        "id,ordered_at,amount\n7,2024-03-01T10:07:00Z,99.5\n"
    )
    assert ingest(table, ["2024-03-01"], home)[0].quarantined == 1
    (tmp_path / "orders_2024-03-01_3.csv").write_text(
        "id,ordered_at,amount,corrected_at\n7,2024-03-01T10:07:00Z,99.5,2024-03-02T08:00:00Z\n"
    )
    assert ingest(table, ["2024-03-01"], home)[0].published == 61
    rows = Lake(home).scan("orders", ["id", "known_at"]).to_pylist()
    last = max(row["known_at"] for row in rows if row["id"] == 7)
    assert last == datetime.fromisoformat("2024-03-02T08:00:00Z")


def test_no_person_reaches_the_files_for_git(project, contract):
    personal = {field.name for field in contract.fields if field.privacy == "personal"}
    assert personal == {"email", "driver_name"}
    written = [p for p in project.rglob("*") if p.is_file() and "deliveries" not in p.parts]
    text = "\n".join(path.read_text() for path in written)
    assert {match[0].partition("@")[2] for match in EMAIL.finditer(text)} <= {"example.com", "host"}
    assert not re.search(r"\b(Ana|Bo|Cy|Di) (Ek|Fu|Go)\b", text)
    with (project / "tests/rides/sample/trips.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) > 50
    assert len({row["driver_name"] for row in rows}) == len({row["email"] for row in rows}) > 1


def test_a_person_is_not_released(project):
    text = (project / "pipelines/rides/dataset.py").read_text()
    assert 'privacy={"driver_name": Drop()}' in text
    assert "from headrace.datasets.governance.privacy import Drop\n" in text


def test_equal_persons_stay_equal_and_others_stay_others():
    stand_ins = StandIns()
    records = [b'1,"Ek, ""Ana""",a@b.org\r\n', b"2,Bo,NA\r\n", b'3,"Ek, ""Ana""",a@b.org\r\n']
    headers = ["id", "name", "email"]
    made = [masked(record, [1, 2], headers, stand_ins).decode() for record in records]
    first, second, third = (next(iter(csv.reader([record]))) for record in made)
    assert first[1:] == third[1:] != [b"x"]
    assert (first[0], second[0], second[2]) == ("1", "2", "NA")
    assert re.fullmatch(r'[A-Z][a-z], "[A-Z][a-z]{2}"', first[1])
    assert re.fullmatch(r"[a-z]@example\.com", first[2])


@pytest.mark.parametrize(
    ("header", "values", "expected"),
    [
        ("contact", ["a@b.org", "-"], True),
        ("note", ["call me", "mail to x.y@z.co.uk please"], True),
        ("phone", ["+49 30 1234567", "030/1234567"], True),
        ("whom", ["(212) 555-0100", "(212) 555-0199"], True),
        ("host", ["10.0.0.1", "192.168.3.4"], True),
        ("customer_name", [f"Ana {'bcdefghijklmno'[n]}x" for n in range(14)], True),
        ("product_name", [f"Red {'bcdefghijklmno'[n]}x" for n in range(14)], False),
        ("version", ["1.2.3", "1.2.4"], False),
        ("day", ["2024-01-01", "2024-01-02"], False),
        ("status", ["open", "shut"], False),
    ],
)
def test_persons(header, values, expected):
    import pyarrow as pa

    assert is_personal(header, pa.array(values)) is expected


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("weight_kg", "kilogram"), ("Fare (USD)", "USD"), ("temp_f", "degF"), ("grade_f", None),
        ("air_time_minutes", "minute"), ("minutes", None), ("Wind [m/s]", "m/s"), ("n_days", None),
        ("speedKmh", "km/h"),
    ],
)  # fmt: skip
def test_units(header, unit):
    assert unit_of(InspectedColumn(header, "x", "number", 0)) == unit
    assert unit_of(InspectedColumn(header, "x", "string", 0)) is None


def test_longitude_has_limits_and_a_long_word_has_none():
    assert domain_of(InspectedColumn("store_latitude", "x", "number", 0)).high == 90
    assert domain_of(InspectedColumn("how_long", "x", "number", 0)) is None
    assert domain_of(InspectedColumn("days", "x", "integer", 0)) is None


def test_every_day_of_the_file_passes(project, contract, suite):
    folder = project / "deliveries/trips"
    days = {path.stem[6:]: path.read_bytes() for path in sorted(folder.iterdir())}
    trial = rehearse(suite, contract, days)
    assert (trial.days, trial.checks, trial.changes, trial.other) == (DAYS, {}, {}, {})


def test_what_the_rehearsal_reports_is_muted_or_warns():
    trial = Trial(days=200)
    trial.changes = {"swap:a": ["1"], "new_level:b": ["1", "2"], "frozen:c": ["4", "5", "6"]}
    trial.blocking = {"swap:a", "frozen:c"}
    assert trial.actions() == {"swap:a": "warn", "frozen:c": "off"}
    assert trial.warned(trial.actions()) == 2, "days 1 and 2; those of frozen:c are silent"


def test_the_draft_counts_the_days_that_still_warn(tmp_path):
    found = drafted(look(Ask(trips(tmp_path / "trips.csv"), "year,month,day", ("trip_id",))), "p")
    assert f"each of the {DAYS} days passes" in _text(found, "p", [], Trial(days=DAYS))
    trial = Trial(days=200)
    trial.changes = {"gap:event_time": ["2023-03-09"]}
    text = _text(found, "p", [], trial)
    assert f"of the {DAYS} days {DAYS - 1} pass and 1 warn" in text
    assert "#   gap:event_time: 2023-03-09" in text


def test_a_draft_that_the_file_contradicts_is_muted(tmp_path):
    """One day in another unit: the detector of units reports it, and nobody says it is wrong."""
    path = tmp_path / "meter.csv"
    chance = random.Random(1)
    with path.open("w") as handle:
        handle.write("id,at,load\n")
        for number in range(40 * 30):
            day, place = divmod(number, 30)
            factor = 1000 if day == 30 else 1
            handle.write(
                f"{number},{START + timedelta(days=day, minutes=place)},"
                f"{round(chance.gauss(100, 3) * factor, 1)}\n"
            )
    root = new_project("meters", Ask(path, "at", ("id",), target="load"), tmp_path).root
    text = (root / "quality_suites/meters/meter.yaml").read_text()
    assert yaml.safe_load(text)["meta"]["semantic"] == {"unit_change:load": "off"}
    assert "#   unit_change:load: 2023-03-31" in text
    days = {one.stem[6:]: one.read_bytes() for one in sorted((root / "deliveries/meter").iterdir())}
    contract = load_contract(root / "pipelines/meters/contracts/meter.yaml")

    def declaring(change):
        document = yaml.safe_load(text.replace("unit_change:load", change))
        return parse_suite(document).stored(contract)

    assert not rehearse(declaring("unit_change:load"), contract, days).changes
    loud = rehearse(declaring("unit_change:at"), contract, days)
    assert set(loud.changes) == {"unit_change:load"}
    unknown = declaring("unit_change:lod")
    with pytest.raises(DeclarationError, match="'unit_change:lod' names a column"):
        unknown.check(contract.arrow_schema())


def test_the_days_are_what_is_delivered(tmp_path):
    found = drafted(look(Ask(trips(tmp_path / "trips.csv"), "year,month,day", ("trip_id",))), "p")
    assert len(deliveries(found)) == DAYS
