"""`headrace serve`: features and predictions over HTTP."""

import json
import os
import signal
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from headrace.cli.options import OneModel, OnePipeline
from headrace.cli.output import err, explained
from headrace.cli.shared import one_model
from headrace.core.errors import DeclarationError

if TYPE_CHECKING:
    from headrace.pipeline import Pipeline
    from headrace.pipeline.serving.endpoint import From
    from headrace.serving.http.asgi import App

# Environment variable that passes the options to worker processes. It contains no API key.
VARIABLE = "HEADRACE_SERVE"
STOP_WITHIN = 30  # seconds for open requests after a stop signal


@dataclass(frozen=True)
class Options:
    """Options of the command that worker processes need."""

    pipeline: str | None
    key_file: str | None
    log_share: float
    source: str
    model: str | None = None


@explained
def serve(
    pipeline: OnePipeline = None,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free port.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Number of worker processes.")] = 1,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="File of API keys, one per line; default: HEADRACE_API_KEY."),
    ] = None,
    no_api_key: Annotated[
        bool,
        typer.Option(
            "--no-api-key", help="Need no API key on an address that other machines can reach."
        ),
    ] = False,
    log_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the entities whose answers are logged.")
    ] = 0.1,
    backend: Annotated[
        str,
        typer.Option(
            help="Answer from `tables`, the online `store`, or `auto`: the store if there is one."
        ),
    ] = "auto",
    sync: Annotated[bool, typer.Option("--sync", help="Sync the online store first.")] = False,
    model: OneModel = None,
) -> None:
    """Serve features and predictions over HTTP; the API documentation is at /docs.

    On SIGTERM or Ctrl-C the server answers open requests, writes the log, and stops.

    For example:

      headrace serve flights --port 8000 --sync
    """
    key_file = str(api_key_file) if api_key_file else None
    options = Options(pipeline, key_file, log_share, backend, model)
    _require_extra()
    _require_key(options, host, anonymous=no_api_key)
    declared = one_model(options.pipeline, options.model)
    with _listening(host, port) as listener:
        if sync:
            _fill(declared)
        address = listener.getsockname()
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        err.print(f"{declared.name} on http://{name}:{address[1]}, page at /docs", highlight=False)
        _run(options, listener, workers)


def application() -> "App":
    """Return the application of one worker, with the options from the environment."""
    from headrace.core.home import Home
    from headrace.pipeline.serving.endpoint import endpoint
    from headrace.serving.http import create_app, read_keys

    options = Options(**json.loads(os.environ[VARIABLE]))
    keys = read_keys(Path(options.key_file) if options.key_file else None)
    return create_app(
        endpoint(
            one_model(options.pipeline, options.model),
            Home.find(),
            keys=keys,
            log_share=options.log_share,
            source=cast("From", options.source),
        )
    )


def _run(options: Options, listener: socket.socket, workers: int) -> None:
    """Serve until a signal comes."""
    import uvicorn

    from headrace.serving.http.metrics import SHARED

    os.environ[VARIABLE] = json.dumps(asdict(options))
    quiet: dict[str, Any] = {
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": STOP_WITHIN,
    }
    # After it has stopped, uvicorn raises the signal again; that must not end this process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if workers == 1:
        uvicorn.Server(uvicorn.Config(application(), **quiet)).run(sockets=[listener])
        return
    host, port = listener.getsockname()[:2]
    listener.close()  # uvicorn opens a socket of its own
    with TemporaryDirectory(prefix="headrace-metrics-") as shared:
        os.environ[SHARED] = shared
        name = "headrace.cli.serving.serve:application"
        uvicorn.run(name, factory=True, host=host, port=port, workers=workers, **quiet)


def _fill(pipeline: "Pipeline") -> None:
    from headrace.core.home import Home
    from headrace.pipeline.serving.services import materialise_online

    materialise_online(pipeline, Home.find())


def _require_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import orjson  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise DeclarationError(
            f"the endpoint needs {error.name}, which is not installed",
            where="headrace serve",
            fix="pip install 'headrace[serve]'",
        ) from error


def _require_key(options: Options, host: str, *, anonymous: bool) -> None:
    """Raise an error for a public address without API keys, unless `anonymous` allows it."""
    from headrace.report_server.actions import is_loopback
    from headrace.serving.http import read_keys

    keys = read_keys(Path(options.key_file) if options.key_file else None)
    if not (keys.digests or anonymous or is_loopback(host)):
        raise DeclarationError(
            f"{host} is reachable from other machines, and there is no API key",
            where="headrace serve",
            fix="give --api-key-file or HEADRACE_API_KEY, or pass --no-api-key",
        )


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise DeclarationError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            where="headrace serve",
            fix="--port with another number, or --port 0 for any free one",
        ) from error
