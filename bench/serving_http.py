"""Compare the endpoint under load with a bare endpoint, and with Feast's feature server.

    python -m bench.serving_http [--json] [--repeat 3] [--seconds 3] [--scale 1] [--peers none]

There are twenty windowed features per entity. Each side is a server of one process, to which the
same client sends requests over connections that stay open; the seconds are those of 1,000 requests
under load. The bare endpoint has the same web stack, reads the same JSON and returns an answer of
the same form that does not depend on the request. Feast is given Headrace's values at that time,
and computes nothing; its answers must be equal. Headrace logs a tenth of the entities, like
`headrace serve`. The goal applies to the fastest of Feast's stores.
"""

import argparse
import json
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import feast_env
from bench.child import resident
from bench.features_child import SHAPE, view
from bench.peers.features_data import START, YEAR, Case, events
from bench.report import Comparison, alternating, compare

CASE = Case(events=500_000, spine=1_000, entities=20_000)
AT = START + YEAR
ENTITIES = (1, 100)
CONNECTIONS = {1: 16, 100: 4}
ASKED = "2024-11-13T22:13:20Z"
BODIES = 500
PATHS = {"feast": "/get-online-features"}
GOALS = {"bare": 0.5, "feast": 10.0}


def service(folder):
    from headrace.contracts import load_contract
    from headrace.features import Spine
    from headrace.serving.online import LmdbStore, OnlineService

    contract = load_contract(Path(__file__).with_suffix(".yaml"))
    store = LmdbStore(Path(folder) / "store")
    amount = replace(SHAPE.columns["amount"], max_abs=10**6)
    shape = replace(SHAPE, columns={**SHAPE.columns, "amount": amount}, max_events=10**7)
    contracts = {"events": shape, "asks": contract}
    spine = Spine("asks", columns=("asked_at",))
    return OnlineService(spine, (view(rich=False),), contracts, store, "declared")


def serve(side, folder, port):
    """Run our server or the bare one in this process."""
    import uvicorn

    app = bare_app(folder) if side == "bare" else ours_app(folder)
    quiet = {"log_level": "warning", "access_log": False, "server_header": False}
    uvicorn.run(app, host="127.0.0.1", port=int(port), **quiet)


def ours_app(folder):
    from headrace.serving import ServedLog
    from headrace.serving.http import Endpoint, create_app

    log = ServedLog(Path(folder) / "served.sqlite", share=0.1)
    made = service(folder)
    return create_app(Endpoint("bench", made, made.views, quick=True, log=log))


def bare_app(folder):
    from fastapi import FastAPI, Request, Response

    answer = json.loads(Path(folder, "answer.json").read_text())
    one = answer["vectors"][0]
    app = FastAPI()

    @app.post("/v1/vectors")
    async def vectors(request: Request) -> Response:
        asked = json.loads(await request.body())
        found = {**answer, "vectors": [one for _ in asked["requests"]]}
        return Response(json.dumps(found, separators=(",", ":")), media_type="application/json")

    return app


def prepare(folder, case):
    """Fill our store, and write the values of all entities (for Feast) and bodies of requests."""
    from headrace.serving.online import apply

    made = service(folder)
    rows = events(case)
    moments = [rows[name].cast(pa.timestamp("us", "UTC")) for name in ("event_time", "known_at")]
    for name, column in zip(("event_time", "known_at"), moments, strict=True):
        rows = rows.set_column(rows.column_names.index(name), name, column)
    for start in range(0, rows.num_rows, 50_000):
        frontier = {"snapshot_id": start, "as_of": AT}
        apply(made.store, made.layout, "events", rows.slice(start, 50_000), frontier=frontier)
    entities = np.unique(rows["entity"].to_numpy())
    requests = [({"entity": int(n), "asked_at": ASKED}, AT) for n in entities]
    values = [vector.values for vector in made.vectors(requests)]
    moment = pa.array([AT] * len(values), pa.timestamp("us", "UTC"))
    features = pa.Table.from_pylist(values)
    table = features.append_column("entity", pa.array(entities)).append_column("event_time", moment)
    pq.write_table(table, folder / "values.parquet")
    made.store.close()
    asked = rows["entity"].to_numpy()  # requests are as skewed as the events
    for count in ENTITIES:
        chosen = np.random.default_rng(count).choice(asked, (BODIES, count))
        ours = [ours_body(line) for line in chosen.tolist()]
        feast = [{"feature_service": "vector", "entities": {"entity": n}} for n in chosen.tolist()]
        for side, bodies in (("ours", ours), ("feast", feast)):
            lines = "\n".join(json.dumps(body) for body in bodies)
            (folder / f"{side}_{count}.ndjson").write_text(lines)


def ours_body(entities):
    return {"requests": [{"entity": n, "asked_at": ASKED} for n in entities], "at": AT}


@contextmanager
def running(command, **options):
    """Run a server in a separate process, and stop it at the end."""
    with subprocess.Popen(command, stdout=sys.stderr, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


def own(side, folder, port):
    return running([sys.executable, "-m", "bench.serving_http", "--serve", side, folder, str(port)])


@contextmanager
def feast(folder, store, port):
    python, repo = feast_env.python(), folder / f"feast_{store}"
    repo.mkdir()
    setup = [python, Path(__file__).parent / "peers" / "feast_http.py", repo, store]
    about = {"env": feast_env.environment(), "stdout": sys.stderr}
    subprocess.run([*setup, folder / "values.parquet"], check=True, **about)
    command = [python.with_name("feast"), "-c", repo, "serve", "-h", "127.0.0.1", "-p", str(port)]
    command += ["--no-access-log", "--workers", "1", "--registry_ttl_sec", "3600"]
    # By default a worker ends after 1,000 requests and closes its connections.
    command += ["--max-requests", "0", "--max-requests-jitter", "0"]
    try:
        with running(command, env=feast_env.environment()) as process:
            yield process
    finally:
        subprocess.run([*setup, "--remove"], check=True, **about)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def ask(port, path, body):
    url, sent = f"http://127.0.0.1:{port}{path}", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), sent)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def reached(port, path, body, seconds=90):
    """Wait for a starting server, and return its first answer."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask(port, path, body)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def load(port, path, bodies, connections, seconds):
    command = [sys.executable, "-m", "bench.load", "127.0.0.1", str(port), path, str(bodies)]
    command += [str(connections), str(seconds)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def equal(folder, port, theirs):
    """Return True if Feast and Headrace return equal values for the first bodies."""
    for count in ENTITIES:
        lines = [
            (folder / f"{s}_{count}.ndjson").read_text().splitlines() for s in ("ours", "feast")
        ]
        for ours, feast in list(zip(*lines, strict=True))[:20]:
            vectors = ask(port, "/v1/vectors", json.loads(ours))["vectors"]
            found = ask(theirs, PATHS["feast"], json.loads(feast))
            names = found["metadata"]["feature_names"]
            columns = [one["values"] for one in found["results"]]
            rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
            wanted = [list(row) for row in vectors]
            if [[row.get(n, ...) for n in w] for row, w in zip(rows, wanted, strict=True)] != [
                list(vector.values()) for vector in vectors
            ]:
                return False
    return True


def has_redis():
    try:
        with socket.create_connection(("127.0.0.1", 6379), 1):
            return True
    except OSError:
        return False


def stores(peers: str) -> list[str]:
    """Return the Feast stores to compare with."""
    if "feast" not in peers:
        return []
    return ["sqlite", *(["redis"] if has_redis() else [])]


def comparisons(
    *, repeat: int = 3, seconds: float = 3.0, scale: float = 1.0, peers: str = "feast"
) -> list[Comparison]:
    """Compare all sides, for one and for a hundred entities per request."""
    theirs = stores(peers)
    with TemporaryDirectory(prefix="http-") as name, ExitStack() as stack:
        folder = Path(name)
        prepare(folder, CASE.scaled(scale))
        sides = ["ours", "bare", *(f"feast {store}" for store in theirs)]
        ports = {side: free_port() for side in sides}
        ours = stack.enter_context(own("ours", name, ports["ours"]))
        body = json.loads((folder / "ours_1.ndjson").read_text().splitlines()[0])
        answer = reached(ports["ours"], "/v1/vectors", body)
        (folder / "answer.json").write_text(json.dumps(answer))
        stack.enter_context(own("bare", name, ports["bare"]))
        reached(ports["bare"], "/v1/vectors", body)
        same = {"bare": True}
        for store in theirs:
            side = f"feast {store}"
            stack.enter_context(feast(folder, store, ports[side]))
            asked = json.loads((folder / "feast_1.ndjson").read_text().splitlines()[0])
            reached(ports[side], PATHS["feast"], asked)
            same[side] = equal(folder, ports["ours"], ports[side])
        found = []
        for count in ENTITIES:

            def one(side, count=count):
                kind = side.split()[0]
                bodies = folder / f"{'feast' if kind == 'feast' else 'ours'}_{count}.ndjson"
                path = PATHS.get(kind, "/v1/vectors")
                return load(ports[side], path, bodies, CONNECTIONS[count], seconds)

            runs = alternating({side: lambda side=side: one(side) for side in sides}, repeat)
            rss = resident(str(ours.pid)) / 2**20
            found += judged(count, runs, same, rss)
    return found


def judged(count, runs, same, rss) -> list[Comparison]:
    each = {side: [1000 * run["seconds_each"] for run in done] for side, done in runs.items()}
    for side, done in runs.items():
        p50, p99 = (1000 * median(run[name] for run in done) for name in ("p50_s", "p99_s"))
        told = f"{count} a request, {side}: {1000 / median(each[side]):.0f} requests/s"
        print(f"{told}, p50 {p50:.2f} ms, p99 {p99:.2f} ms", file=sys.stderr)
    feasts = [side for side in each if side.startswith("feast")]
    best = min(feasts, key=lambda side: median(each[side]), default="")
    name = f"1,000 requests of {count} entit{'y' if count == 1 else 'ies'} over HTTP"
    return [
        compare(
            name,
            each["ours"],
            "bare endpoint, same web stack" if side == "bare" else side,
            each[side],
            goal=GOALS[side.split()[0]] if side in {"bare", best} else None,
            answers_equal=same[side],
            rss_mb=rss,
        )
        for side in each
        if side != "ours"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the HTTP endpoint under load.")
    parser.add_argument("--json", action="store_true", help="only the JSON lines")
    parser.add_argument("--repeat", type=int, default=3, help="loads of each side (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each load (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="factor of the number of events")
    parser.add_argument("--peers", default="feast", help="'none' skips Feast")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(*options.serve)
        return
    given = {name: getattr(options, name) for name in ("repeat", "seconds", "scale", "peers")}
    for comparison in comparisons(**given):
        print(comparison.line())


if __name__ == "__main__":
    main()
