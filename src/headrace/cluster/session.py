"""Sessions with a Spark cluster, and conversion of its errors to `HeadraceError`."""

import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from headrace.core import errors
from headrace.core.errors import HeadraceError
from headrace.core.main_module import as_a_program

# Types of pyspark.sql.connect, which is imported only when a session is opened.
Session: TypeAlias = Any
DataFrame: TypeAlias = Any

DEFAULT_PORT = 15002
CONNECTS_WITHIN = 10  # seconds

_RAISED = re.compile(
    re.escape(errors.__name__) + r"\.(\w+): (.*)((?:\n  where: .*)?)((?:\n  fix:   .*)?)",
    re.MULTILINE,
)


def connect(url: str) -> Session:
    """Open a session with the Spark Connect server at `url`, as in `sc://host:15002`.

    The workers need Headrace and the modules that define row transforms.

    Raises:
        HeadraceError: the client is not installed, or the server does not answer.
    """
    with quiet(), as_a_program(), needs("pyspark.sql.connect.session", "pyspark-client"):
        from pyspark.sql.connect.session import SparkSession
    _require_listening(url)
    with quiet():
        return SparkSession.builder.remote(url).create()


def _require_listening(url: str) -> None:
    """Raise HeadraceError at once if no server listens; the client would retry for minutes."""
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port or DEFAULT_PORT
    if parts.scheme != "sc" or not host:
        raise HeadraceError(
            "this is not the address of a Spark Connect server",
            where="a session with a cluster",
            fix="write it as sc://host:15002, or with parameters: sc://host:443/;use_ssl=true",
        )
    try:
        socket.create_connection((host, port), CONNECTS_WITHIN).close()
    except OSError as error:
        raise HeadraceError(
            f"no server answers at {host}:{port}: {error}",
            where="a session with a cluster",
            fix="start the server, or correct the address",
        ) from error


@contextmanager
def sail() -> Iterator[Session]:
    """Open a session with a Sail server in this process: a one-machine cluster without Java.

    Raises:
        HeadraceError: Sail or the client is not installed.
    """
    with needs("pysail.spark", "pysail"):
        from pysail.spark import SparkConnectServer
    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    _, port = server.listening_address
    try:
        session = connect(f"sc://127.0.0.1:{port}")
        try:
            yield session
        finally:
            session.stop()
    finally:
        server.stop()


@contextmanager
def needs(module: str, package: str) -> Iterator[None]:
    """Turn an ImportError into a HeadraceError that says which package to install."""
    try:
        yield
    except ImportError as error:
        raise HeadraceError(
            f"{module} cannot be imported: {error}",
            where="a session with a cluster",
            fix=f"pip install 'headrace[cluster]', which brings {package}",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress PySpark 4.2's frequent warning about pandas 3, which Headrace does not use."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas")
        yield


@contextmanager
def remote_errors() -> Iterator[None]:
    """Re-raise a worker's error with its original type, parsed from the text that Spark reports."""
    try:
        with quiet():
            yield
    except Exception as error:
        match = _RAISED.search(str(error))
        kind = getattr(errors, match[1], None) if match else None
        if match is None or kind is None:
            raise
        where, fix = (part.partition(":")[2].strip() for part in match.groups()[2:])
        raise kind(match[2], where=where, fix=fix) from error
