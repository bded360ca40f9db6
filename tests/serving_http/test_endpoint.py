"""The endpoint over a real connection: the values of training, and errors that say how to mend."""

import asyncio
import random
import re
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pytest

from headrace.core.clock import DAY, now_us, parse_iso
from headrace.features import build_spine, training_frame
from headrace.models import champion
from headrace.pipeline import feature_service, served_log
from headrace.pipeline.build_context import BuildContext
from headrace.pipeline.serving.endpoint import endpoint
from headrace.pipeline.serving.services import materialise_online
from headrace.serving import answer, audit
from headrace.serving.http import ApiKeys, RequestLimits, create_app
from headrace.serving.http.asgi import read
from headrace.serving.http.body import read_body
from headrace.serving.http.errors import HttpError
from headrace.serving.http.keys import read_keys
from headrace.serving.vectors import cells
from tests.serving.world import DAYS, SPINE, VIEWS, World, request_of
from tests.serving_http.server import KEY, serving

AT = parse_iso(DAYS[9])
GOOD = {"trip": 1, "line": "A", "stop": "north", "due": "2024-03-10T02:00:00Z", "fare": 1.05}
PATHS = [("GET", "/openapi.json"), ("GET", "/metrics"), ("POST", "/v1/vectors")]


def as_sent(row):
    """A row of the spine as JSON can say it."""
    return request_of(row) | {"due": row["due"].isoformat().replace("+00:00", "Z")}


def app(world, **changes):
    made = endpoint(world.pipeline, world.home, keys=ApiKeys(), log_share=0, source="tables")
    return create_app(replace(made, **changes))


def test_vectors_are_the_rows_of_the_training_frame(lines, client):
    pipeline, history = lines.pipeline, BuildContext(lines.pipeline, lines.home).history
    spine = build_spine(pipeline.spine, history, pipeline.contracts, "declared")
    frame = training_frame(spine, pipeline.views, history, pipeline.contracts, pipeline.mode)
    names = [name for name in frame.column_names if name not in spine.column_names]
    expected, rows = cells(frame.select(names)), spine.to_pylist()
    for number in random.Random(3).sample(range(len(rows)), 40):
        status, found = client.vectors(as_sent(rows[number]), at=rows[number]["t"])
        assert status == 200
        assert found["t"] == rows[number]["t"]
        assert found["vectors"] == [expected[number]]  # floats in JSON keep every bit


def test_many_requests_are_answered_as_each_alone(client):
    asked = [GOOD | {"trip": n, "line": "ABC"[n % 3], "fare": n / 4} for n in range(30)]
    status, together = client.vectors(*asked, at=AT)
    assert status == 200
    assert len(together["vectors"]) == 30
    alone = [client.vectors(one, at=AT)[1] for one in asked]
    assert together["vectors"] == [one["vectors"][0] for one in alone]
    assert {k: v for k, v in together.items() if k != "vectors"} == {
        k: v for k, v in alone[0].items() if k != "vectors"
    }


def test_without_a_moment_it_is_now_and_once_for_all(lines, client):
    before = now_us()
    status, found = client.vectors(GOOD, GOOD)
    assert status == 200
    assert before <= found["t"] <= now_us()
    assert found["vectors"][0] == found["vectors"][1]
    service = feature_service(lines.pipeline, lines.home)
    assert found["definition"] == service.definition
    ids = {table: str(snapshot) for table, snapshot in service.frontier().items()}
    assert found["frontier"] == ids
    iso = client.vectors(GOOD, at="2024-03-10T01:00:00+01:00")
    assert iso == client.vectors(GOOD, at=AT)


def test_the_online_store_answers_as_the_tables_do(world, client):
    pytest.importorskip("lmdb")
    world.deliver_days()
    world.publish()
    asked = [GOOD | {"trip": n, "line": "ABC"[n % 3]} for n in range(30)]

    def vectors(source):
        made = endpoint(world.pipeline, world.home, keys=ApiKeys(), log_share=0, source=source)
        with serving(create_app(made)) as client:
            given = client.vectors(*asked, at=AT)
            lag = re.findall("lag_seconds{[^}]*} ([0-9.]+)", client.ask("GET", "/metrics")[1])
            if made.quick:
                made.service.store.close()
        return made.quick, given, lag

    assert vectors("auto")[0] is False
    assert vectors("store")[1][0] == 503
    materialise_online(world.pipeline, world.home)
    tables, store = vectors("tables"), vectors("auto")
    assert (tables[0], store[0]) == (False, True)
    assert tables[1] == store[1]
    assert store[2] == ["0.0"] * 3
    world.deliver("gauges", DAYS[4], world.rows(DAYS[4])["gauges"][:4], "_again")
    world.publish("gauges")
    assert sorted(float(one) > 0 for one in vectors("auto")[2]) == [False, False, True]


def test_prices_are_read_as_they_are_written(client):
    cents = {"1.05": 105, "2": 200, "0.125": 12, "0.135": 14, "1.005": 100, "9.995": 1000}
    for text, expected in cents.items():
        body = b'{"requests": [{"trip": 1, "line": "A", "stop": "north", "due": null, "fare": '
        status, found = client.ask("POST", "/v1/vectors", body + text.encode() + b"}]}")
        assert (status, found["vectors"][0]["fare_cents"]) == (200, expected)


@pytest.mark.parametrize(
    ("body", "status", "field", "says"),
    [
        (b"{", 400, None, "not JSON"),
        (b"\xff", 400, None, "not JSON"),
        (b'{"requests": [{"fare": NaN}]}', 400, None, "NaN"),
        (b'{"requests": [{"line": "A", "line": "B"}]}', 400, None, "twice"),
        (b"[" * 100_000, 400, None, "not JSON"),
        (b'{"requests": [{"a": 1e-99999999999999999999}]}', 400, None, "not JSON"),
        (b'{"requests": [{"trip": ' + b"1" * 5000 + b"}]}", 400, None, "digits"),
        ([], 422, "requests", "no list of requests"),
        ({"requests": []}, 422, "requests", "empty"),
        ({"requests": [1]}, 422, "requests", "not an object"),
        ({"requests": [GOOD], "when": 1}, 422, "when", "unknown"),
        ({"requests": [GOOD], "at": "2024-03-10"}, 422, "at", "at is"),
        ({"requests": [GOOD], "at": "2024-03-10T00:00:00"}, 422, "at", "at is"),
        ({"requests": [GOOD], "at": 1.5}, 422, "at", "at is"),
        ({"requests": [GOOD], "at": now_us() + DAY}, 422, "at", "in the future"),
        ({"requests": [GOOD], "at": -(2**62) - 1}, 422, "at", "before the year 1"),
        ({"requests": [GOOD], "at": -(10**30)}, 422, "at", "before the year 1"),
        ({"requests": [GOOD], "definition": 1}, 422, "definition", "not a text"),
        ({"requests": [GOOD], "definition": "other"}, 409, "definition", "not other"),
        ({"requests": [GOOD] * 1001}, 413, None, "too many"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(client, body, status, field, says):
    found, told = client.ask("POST", "/v1/vectors", body)
    assert found == status
    assert says in told["error"]["what"]
    assert told["error"].get("field") == field
    assert told["error"]["fix"]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"line": ...}, "line", "lacks"),
        ({"lime": 1}, "lime", "unknown"),
        ({"line": 7}, "line", "line is 7"),
        ({"trip": None}, "trip", "may not be null"),
        ({"trip": 100_001}, "trip", "greatest"),
        ({"due": "yesterday"}, "due", "due is 'yesterday'"),
        ({"stop": "\ud800"}, "stop", "surrogate"),
    ],
)
def test_a_request_that_does_not_fit_names_its_place_and_field(client, change, field, says):
    wrong = {name: value for name, value in (GOOD | change).items() if value is not ...}
    status, told = client.vectors(GOOD, GOOD, wrong, GOOD)
    assert status == 422
    assert (told["error"]["request"], told["error"]["field"]) == (2, field)
    assert says in told["error"]["what"]
    assert told["error"]["fix"]


def test_unknown_paths_and_methods(client):
    assert client.ask("GET", "/v1/vectors")[0] == 405
    assert client.ask("GET", "/v2")[0] == 404


def test_a_long_body_is_refused_before_it_is_read(lines):
    with serving(app(lines, limits=RequestLimits(body=1000, requests=3))) as client:
        assert client.vectors(GOOD)[0] == 200
        status, told = client.ask("POST", "/v1/vectors", b" " * 1001)
        assert (status, told["error"]["what"]) == (413, "the body is longer than 1000 bytes")
        assert client.vectors(*[GOOD] * 4)[0] == 413


def test_what_the_spine_has_a_default_for_may_be_left_out(lines):
    spine = replace(SPINE, defaults={"fare": Decimal("1.05"), "line": "B"})
    world = replace(lines.pipeline, spine=spine)
    made = endpoint(world, lines.home, keys=ApiKeys(), log_share=0, source="tables")
    short = {"trip": 1, "stop": "north", "due": GOOD["due"]}
    with serving(create_app(made)) as client:
        assert client.vectors(short, at=AT) == client.vectors(GOOD | {"line": "B"}, at=AT)
        assert client.vectors({"trip": 1}, at=AT)[0] == 422
        document = client.ask("GET", "/openapi.json")[1]
    body = document["paths"]["/v1/vectors"]["post"]["requestBody"]["content"]["application/json"]
    columns = body["schema"]["properties"]["requests"]["items"]
    assert columns["required"] == ["trip", "stop", "due"]
    assert columns["properties"]["line"]["default"] == "B"


def test_every_path_but_health_and_page_asks_for_the_key(lines, tmp_path, caplog):
    (tmp_path / "keys").write_text(f"an-old-key-that-goes-soon\n\n{KEY}\n")
    with serving(app(lines, keys=read_keys(tmp_path / "keys"))) as client:
        for key in (None, "wrong", KEY[:-1], KEY + "x", "ключ"):
            client.key = key if key is None or key.isascii() else None
            for method, path in PATHS:
                status, told = client.ask(method, path, {"requests": [GOOD]})
                assert status == 401
                assert client.headers["WWW-Authenticate"] == "Bearer"
                assert "Authorization: Bearer" in told["error"]["fix"]
        client.key = None
        assert client.ask("GET", "/healthz") == (200, {"status": "alive"})
        assert client.ready()[0] == 200
        assert client.ask("GET", "/docs")[0] == 200
        asked = {"requests": [GOOD]}
        assert client.ask("POST", "/v1/vectors", asked, {"X-API-Key": KEY})[0] == 200
        for key in (KEY, "an-old-key-that-goes-soon"):
            client.key = key
            assert all(client.ask(m, p, asked if m == "POST" else None)[0] == 200 for m, p in PATHS)
            assert KEY not in client.ask("GET", "/metrics")[1]
        document = client.ask("GET", "/openapi.json")[1]
        assert document["security"] == [{"key": []}]
    assert KEY not in caplog.text
    assert KEY not in repr(read_keys(tmp_path / "keys"))


def test_predictions_are_those_of_the_model_in_charge(lines, client):
    service, record = feature_service(lines.pipeline, lines.home), champion(lines.home, "line_late")
    asked = [GOOD | {"trip": n, "line": "ABC"[n % 3]} for n in range(12)]
    status, found = client.predictions(*asked, at=AT)
    assert status == 200
    expected = [answer(service, record, one, AT) for one in asked]
    assert found["predictions"] == [{"score": one.score} for one in expected]
    assert found["model"] == expected[0].model
    assert len({one.score for one in expected}) > 1


def test_a_model_refuses_features_that_mean_something_else(lines):
    changed = World(
        lines.root, views=(replace(VIEWS[0], features=VIEWS[0].features[:-1]), *VIEWS[1:])
    )
    with serving(app(changed)) as client:
        status, told = client.predictions(GOOD, at=AT)
        assert status == 409
        assert "not those the model was trained on" in told["error"]["what"]
        assert client.vectors(GOOD, at=AT)[0] == 200


def test_no_model_and_nothing_published(world):
    with serving(app(world)) as client:
        for ask in (client.vectors, client.predictions):
            status, told = ask(GOOD)
            assert status == 503
            assert told["error"]["fix"]
        status, told = client.ready()
        assert (status, "nothing was published" in told["error"]["what"]) == (503, True)
        assert client.ask("GET", "/healthz")[0] == 200
        assert client.ask("GET", "/metrics")[0] == 200
        world.deliver_days(DAYS[:3])
        world.publish()
        assert client.ready()[0] == 200
        assert client.vectors(GOOD)[0] == 200
        assert client.predictions(GOOD)[0] == 503
    with serving(app(world, scorer=None)) as client:
        assert client.predictions(GOOD)[0] == 404


def test_answers_are_in_the_log_and_the_audit_finds_them_right(lines):
    log = served_log(lines.pipeline, lines.home, share=1)
    before = log.table().num_rows
    with serving(app(lines, log=log)) as client:
        given = [client.vectors(GOOD | {"trip": n}, at=AT)[1]["vectors"][0] for n in range(20)]
        given += client.vectors(*[GOOD | {"trip": n} for n in range(20, 40)], at=AT)[1]["vectors"]
        scores = client.predictions(GOOD, GOOD | {"line": "B"}, at=AT)[1]
        moment = now_us()
    with closing(served_log(lines.pipeline, lines.home)) as log:
        rows = log.table(after=before)
        report = audit(log, feature_service(lines.pipeline, lines.home))
    assert rows.num_rows == 42
    assert rows["score"].to_pylist()[40:] == [one["score"] for one in scores["predictions"]]
    assert set(rows["model"].to_pylist()) == {"", scores["model"]}
    assert max(rows["served_at"].to_pylist()) <= moment
    assert report.to_json() == {"compared": before + 42, "different": 0, "causes": {}}


def test_metrics_count_what_was_asked(lines):
    with serving(app(lines)) as client:
        client.vectors(GOOD, GOOD, at=AT)
        client.vectors({})
        text = client.ask("GET", "/metrics")[1]
    found = dict(re.findall(r"^(headrace_[^ #]+) ([^ ]+)$", text, re.MULTILINE))
    assert float(found['headrace_requests_total{path="/v1/vectors",status="200"}']) == 1
    assert float(found['headrace_requests_total{path="/v1/vectors",status="422"}']) == 1
    assert float(found['headrace_request_seconds_count{path="/v1/vectors"}']) == 2
    assert float(found["headrace_vectors_total"]) == 2
    for table in ("arrivals", "gauges", "plan"):
        assert float(found[f'headrace_frontier_lag_seconds{{table="{table}"}}']) == 0
        assert 0 < float(found[f'headrace_frontier_age_seconds{{table="{table}"}}']) < 3600


def test_the_page_and_the_document_need_no_one_else(client):
    status, page = client.ask("GET", "/docs")
    assert status == 200
    assert not re.search(r"https?://", page)
    document = client.ask("GET", "/openapi.json")[1]
    assert set(document["paths"]) == {
        *("/v1/vectors", "/v1/predictions", "/healthz", "/readyz", "/metrics")
    }
    ask = document["paths"]["/v1/vectors"]["post"]
    body = ask["requestBody"]["content"]["application/json"]
    columns = body["schema"]["properties"]["requests"]["items"]["properties"]
    assert list(columns) == ["trip", "line", "stop", "due", "fare"]
    assert columns["fare"]["type"] == ["number", "null"]
    assert columns["trip"]["type"] == "integer"
    assert client.ask("POST", "/v1/vectors", body["example"])[0] == 200
    told = ask["responses"]["200"]["content"]["application/json"]["schema"]["properties"]
    given = client.vectors(GOOD)[1]
    assert set(told) == {*given, "stale"}
    assert set(told["vectors"]["items"]["properties"]) == set(given["vectors"][0])
    assert {"401", "409", "422", "503"} <= set(ask["responses"])


def test_a_failure_of_the_server_tells_nothing_of_its_inside(lines, caplog):
    class Broken:
        def __getattr__(self, name):
            return getattr(feature_service(lines.pipeline, lines.home), name)

        def vectors(self, requests):
            raise RuntimeError("secret inside")

    with serving(app(lines, service=Broken())) as client:
        status, told = client.vectors(GOOD)
        assert (status, told) == (
            500,
            {"error": {"what": "the server failed", "fix": "see the log of the server"}},
        )
        assert client.ask("GET", "/healthz")[0] == 200
    assert "secret inside" in caplog.text


def test_a_body_keeps_what_was_written():
    asked = read_body(b'{"requests": [{"a": 1.10, "b": 12, "c": 1e400}]}', 5, 10)
    assert asked.at == 5
    assert [str(value) for value in asked.requests[0].values()] == ["1.10", "12", "1E+400"]


@pytest.mark.parametrize("parts", [[b"whole"], [b"who", b"", b"le"], [b"w", b"hol", b"e"]])
def test_a_body_is_read_in_parts_up_to_its_most(parts):
    def body(most):
        rest = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        rest[-1]["more_body"] = False
        arriving = iter(rest)

        async def receive():
            return next(arriving)

        return asyncio.run(read(receive, most))

    assert body(5) == b"whole"
    assert type(body(5)) is bytes
    with pytest.raises(HttpError, match="longer than 4 bytes"):
        body(4)
