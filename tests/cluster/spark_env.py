"""An environment of its own for Spark's server: `python -m tests.cluster.spark_env` makes it.

It lies under `.headrace/spark` of the checkout and takes some 500 MB, nearly all of them jars. The
server's workers run on the interpreter that the tests run on, so that they have Headrace.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / ".headrace" / "spark"
REQUIREMENTS = Path(__file__).with_name("spark_requirements.txt")
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
SETTINGS = {
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
}
STARTS_WITHIN = 120
# The server ends when its input does: also when the tests are killed.
WITH_US = '"$@" & server=$!; read -r _; kill "$server"; wait "$server"'


def missing() -> str | None:
    """Why there can be no server here; None if there can."""
    if shutil.which("java") is None:
        return "there is no Java on this machine"
    marker = FOLDER / "complete"
    if not marker.exists() or marker.read_text() != _wanted():
        return "there is no environment of Spark: run `make spark`"
    return None


def make() -> None:
    """Make or renew the environment, unless it is there.

    Raises:
        subprocess.CalledProcessError: `pip` failed; what it said is on stderr.
    """
    marker = FOLDER / "complete"
    if marker.exists() and marker.read_text() == _wanted():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-cache-dir"]
    subprocess.run([*pip, "--require-hashes", "-r", str(REQUIREMENTS)], check=True)
    marker.write_text(_wanted())  # last: what a crash left half done is made anew


def _wanted() -> str:
    return sha256(REQUIREMENTS.read_bytes()).hexdigest()


@contextmanager
def server(folder: Path, cores: int = 2) -> Iterator[str]:
    """The address of a Spark Connect server that runs as long as this does; `folder` is its own."""
    home = next(FOLDER.glob("lib/python*/site-packages/pyspark"))
    port = _free_port()
    settings = {
        **SETTINGS,
        "spark.connect.grpc.binding.port": str(port),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "local"),
    }
    given = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
    submit = [str(home / "bin" / "spark-submit"), "--master", f"local[{cores}]", "--class", SERVER]
    variables = {
        **os.environ,
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(CHECKOUT),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["sh", "-c", WITH_US, "sh", *submit, *given, "spark-internal"],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield f"sc://127.0.0.1:{port}"
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"Spark did not start:\n{log.read_text()[-4000:]}")


if __name__ == "__main__":
    make()
    sys.stdout.write(f"{FOLDER}\n")
