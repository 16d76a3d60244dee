from collections.abc import Iterator

import pytest
from cluster import Cluster
from mishaps import Mishaps


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def mishaps(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mishaps]:
    """Goes on beside other tests, as it takes minutes until Slurm forgets jobs."""
    mishaps = Mishaps(cluster, tmp_path_factory.mktemp("mishaps"))
    try:
        yield mishaps
    finally:
        mishaps.driver.kill()
