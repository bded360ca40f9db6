import pytest

from tests.alerts.alert_servers import mail_server, webhook
from tests.lake.kit import Meter

ROUTES = """\
version: 1
wait: {missing: 0s, source: 0s}
routes:
  metering:
    - ${PAGER}
"""


@pytest.fixture
def meter(tmp_path) -> Meter:
    return Meter(tmp_path)


@pytest.fixture
def hook(monkeypatch):
    with webhook() as found:
        monkeypatch.setenv("PAGER", found.url)
        yield found


@pytest.fixture
def mails(monkeypatch):
    with mail_server() as found:
        monkeypatch.setenv("MAIL", found.url)
        yield found


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes alerts.yaml, where the code looks for it."""

    def write(text=ROUTES):
        path = tmp_path / "alerts.yaml"
        path.write_text(text)
        monkeypatch.setenv("HEADRACE_ALERTS", str(path))
        return path

    return write
