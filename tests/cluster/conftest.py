import pytest

from headrace.cluster import connect, sail
from tests.cluster import spark_env
from tests.cluster.batched import batch_of, many_logs
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


# To think of a thousand logs takes ten times what it takes to compute their features.
@pytest.fixture(scope="session", params=[60, pytest.param(1_000, marks=pytest.mark.slow)])
def batch(request):
    return batch_of(many_logs(request.param))


@pytest.fixture(params=[SAIL, SLOWLY])
def session(request):
    """A cluster of either kind; on Spark it takes longer, so by default only where it matters."""
    return request.getfixturevalue(request.param)
