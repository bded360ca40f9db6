"""Web application: paths, keys, limits, errors and metrics around `ServiceAnswers`."""

import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.core.clock import now_us
from headrace.core.errors import HeadraceError, LearnerError
from headrace.features.spec import View, output_columns
from headrace.serving.http import openapi as describe
from headrace.serving.http.asgi import (
    JSON,
    App,
    Front,
    HttpResponse,
    Receive,
    ResponseHandler,
    Scope,
    read,
)
from headrace.serving.http.body import VectorRequest, read_body
from headrace.serving.http.errors import HttpError, body_of, status_of
from headrace.serving.http.handlers import Service, ServiceAnswers
from headrace.serving.http.keys import ApiKeys
from headrace.serving.http.log_writer import LogWriter
from headrace.serving.http.metrics import Lags, Metrics
from headrace.serving.http.readiness import Readiness
from headrace.serving.http.scorer import Scorer
from headrace.serving.log import ServedLog

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

_logger = logging.getLogger(__name__)
PAGE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class RequestLimits:
    """Maximum bytes of an HTTP body, and maximum number of vector requests in one body."""

    body: int = 4 * 2**20
    requests: int = 1_000


@dataclass(frozen=True)
class Endpoint:
    """Service, model and log of one server process.

    Attributes:
        name: name of the pipeline.
        service: computes the feature vectors.
        quick: True to compute vectors on the event loop, because handing the work to a thread
            would take longer.
        views: views of the service, for the OpenAPI description.
        keys: accepted API keys; without keys every request is accepted.
        scorer: the model; None if no predictions are served.
        log: the served log; None if answers are not logged. Closed when the application stops.
        lags: returns the lag of each table, for the metrics.
    """

    name: str
    service: Service
    views: tuple[View, ...]
    quick: bool = False
    keys: ApiKeys = field(default_factory=ApiKeys)
    scorer: Scorer | None = None
    log: ServedLog | None = None
    lags: Lags = tuple
    limits: RequestLimits = field(default_factory=RequestLimits)


def create_app(endpoint: Endpoint) -> App:
    """Return the ASGI application of an endpoint; it closes the endpoint's log when it stops."""
    from fastapi import FastAPI

    import headrace

    web = _Web(endpoint)
    app = FastAPI(
        title=f"Headrace: {endpoint.name}",
        version=headrace.__version__,
        description="Feature vectors and predictions, computed by the training kernel.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=web.lifespan,
    )
    return Front(app, web.add_paths(app))


Work = Callable[["Request"], Awaitable["Response"]]


class _Web:
    """Handlers of the application, and their shared state."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        taints = endpoint.scorer.taints if endpoint.scorer is not None else tuple
        self.metrics = Metrics(endpoint.lags, taints)
        self.ready = Readiness(endpoint.service)
        self.answers = ServiceAnswers(endpoint.service, endpoint.scorer, None, self.metrics.served)
        self.limiter: Any = None

    @asynccontextmanager
    async def lifespan(self, _: "FastAPI") -> AsyncIterator[None]:
        from anyio import CapacityLimiter

        self.limiter = CapacityLimiter(max(2, os.cpu_count() or 1))
        writer, log = None, self.endpoint.log
        if log is not None:
            writer = LogWriter(log, written=self.metrics.logged)
        self.answers = ServiceAnswers(
            self.endpoint.service, self.endpoint.scorer, writer, self.metrics.served
        )
        self.ready.start(writer)
        try:
            yield
        finally:
            if writer is not None:
                writer.close()

    def add_paths(self, app: "FastAPI") -> dict[str, ResponseHandler]:
        """Add the paths to the application; return the handlers that `Front` calls directly."""
        endpoint, limit = self.endpoint, self.endpoint.limits.requests
        body = describe.request_body(endpoint.service.schema, limit)
        features = output_columns(endpoint.views)
        asking: list[tuple[str, str, ResponseHandler, Any]] = [
            (
                "/v1/vectors",
                "Feature vectors of one or many requests",
                self.asking("/v1/vectors", self._vectors, quick=endpoint.quick),
                describe.vectors(tuple(features)),
            )
        ]
        if endpoint.scorer is not None:
            asking.append(
                (
                    "/v1/predictions",
                    "Predictions of the current model for one or many requests",
                    self.asking("/v1/predictions", self._predictions, quick=False),
                    describe.predictions(endpoint.scorer.task),
                )
            )
        for path, summary, respond, responses in asking:
            app.post(
                path,
                summary=summary,
                responses=responses,
                openapi_extra={"requestBody": body},
            )(_framed(respond))
        app.get("/healthz", summary="Liveness of the process; needs no key")(
            self.guarded("/healthz", self._healthz, keys=ApiKeys())
        )
        app.get("/readyz", summary="Readiness, or the reason for not being ready; needs no key")(
            self.guarded("/readyz", self._readyz, keys=ApiKeys())
        )
        app.get("/metrics", summary="Prometheus metrics")(self.guarded("/metrics", self._metrics))

        async def openapi(_: "Request") -> "Response":
            from fastapi.responses import JSONResponse

            return JSONResponse(_secured(app.openapi(), secured=bool(endpoint.keys.digests)))

        # The page itself needs no key; it requests the data that it shows with the user's key.
        async def docs(_: "Request") -> "Response":
            from fastapi.responses import HTMLResponse

            return HTMLResponse(PAGE.read_text())

        for path, work in (("/openapi.json", openapi), ("/docs", docs)):
            keys = ApiKeys() if path == "/docs" else None
            app.get(path, include_in_schema=False)(self.guarded(path, work, keys=keys))
        return {path: respond for path, _, respond, _ in asking}

    def guarded(self, path: str, work: Work, *, keys: ApiKeys | None = None) -> Work:
        """Return a handler that checks the key, returns errors as JSON and counts all requests."""
        from fastapi import Request, Response

        checked = self.endpoint.keys if keys is None else keys

        async def handler(request: Request) -> Response:
            start = time.perf_counter()
            try:
                checked.check(request.headers)
                response = await work(request)
            except Exception as error:  # noqa: BLE001 - the client gets every error
                response = _response(_error_response(path, error))
            self.metrics.answered(path, response.status_code, time.perf_counter() - start)
            return response

        return handler

    def asking(
        self, path: str, answer: Callable[[VectorRequest], bytes], *, quick: bool
    ) -> ResponseHandler:
        """Return a handler that checks the key, reads the body and computes the answer.

        The answer is computed on the event loop if `quick`, otherwise in a thread.
        """
        from anyio import to_thread
        from starlette.datastructures import Headers

        limits, keys, answered = self.endpoint.limits, self.endpoint.keys, self.metrics.answered

        async def respond(scope: Scope, receive: Receive) -> HttpResponse:
            start = time.perf_counter()
            try:
                if keys.digests:
                    keys.check(Headers(scope=scope))
                arrived = now_us()  # the prediction time, unless the body has `at`
                request = read_body(await read(receive, limits.body), arrived, limits.requests)
                if quick:
                    response = HttpResponse(answer(request))
                else:
                    response = HttpResponse(
                        await to_thread.run_sync(answer, request, limiter=self.limiter)
                    )
            except Exception as error:  # noqa: BLE001 - the client gets every error
                response = _error_response(path, error)
            answered(path, response.status, time.perf_counter() - start)
            return response

        return respond

    def _vectors(self, request: VectorRequest) -> bytes:
        return self.answers.vectors(request)

    def _predictions(self, request: VectorRequest) -> bytes:
        return self.answers.predictions(request)

    async def _healthz(self, _: "Request") -> "Response":
        from fastapi.responses import JSONResponse

        return JSONResponse({"status": "alive", **await self._warnings()})

    async def _warnings(self) -> dict[str, list[str]]:
        """Return the warnings about the model; the endpoint still answers."""
        from anyio import to_thread

        scorer = self.endpoint.scorer
        taints = await to_thread.run_sync(scorer.taints) if scorer is not None else ()
        warnings = (
            [f"model {scorer.name} is tainted: {taint}" for taint in taints] if scorer else []
        )
        return {"warnings": warnings} if warnings else {}

    async def _readyz(self, _: "Request") -> "Response":
        from fastapi.responses import JSONResponse

        await self.ready.check()
        status = {"status": "ready", "definition": self.endpoint.service.definition}
        return JSONResponse({**status, **await self._warnings()})

    async def _metrics(self, _: "Request") -> "Response":
        from anyio import to_thread
        from fastapi import Response

        text = await to_thread.run_sync(self.metrics.text, limiter=self.limiter)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _error_response(path: str, error: Exception) -> HttpResponse:
    """Return the response to an error; details of internal errors go to the process log only."""
    if not isinstance(error, HeadraceError):
        _logger.error("%s failed", path, exc_info=error)
        error = HttpError(500, "the server failed", fix="see the log of the server")
    elif isinstance(error, LearnerError):
        _logger.error("%s failed", path, exc_info=error)
        first_line = error.what.partition("\n")[0]  # printed text may hold data of others
        error = LearnerError(first_line, where=error.where, fix="see the log of the server")
    status = status_of(error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return HttpResponse(body_of(error), status, headers)


def _response(response: HttpResponse) -> "Response":
    from fastapi import Response

    return Response(response.body, response.status, response.headers, JSON)


def _framed(respond: ResponseHandler) -> Work:
    """Wrap a handler so that the web framework can call it."""
    from fastapi import Request, Response

    async def handler(request: Request) -> Response:
        return _response(await respond(request.scope, request.receive))

    return handler


def _secured(document: dict[str, Any], *, secured: bool) -> dict[str, Any]:
    if secured:
        schemes = {"key": {"type": "http", "scheme": "bearer", "description": "The API key."}}
        document = {**document, "security": [{"key": []}]}
        document["components"] = {**document.get("components", {}), "securitySchemes": schemes}
    return document
