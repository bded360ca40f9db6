import pytest

from headrace.cluster import connect, sail
from tests.cluster import spark_env
from tests.cluster.batched import batch_of, thousand_logs
from tests.cluster.kit import SAIL, SLOWLY


@pytest.fixture(scope="session")
def on_sail():
    with sail() as session:
        yield session


@pytest.fixture(scope="session")
def on_spark(tmp_path_factory):
    why = spark_env.missing()
    if why:
        pytest.skip(why)
    with spark_env.server(tmp_path_factory.mktemp("spark")) as url:
        session = connect(url)
        yield session
        session.stop()


@pytest.fixture(scope="session")
def batch():
    return batch_of(thousand_logs())


@pytest.fixture(params=[SAIL, SLOWLY])
def session(request):
    """A cluster of either kind; on Spark it takes longer, so by default only where it matters."""
    return request.getfixturevalue(request.param)
