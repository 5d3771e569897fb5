from collections.abc import Callable, Iterator
from typing import Any

import pytest

from portal.connectors.http import Exchange, Wire
from tests.connectors.certificates import Issuer
from tests.connectors.servers import Manners, Server


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts a server with the given manners."""
    running: list[Server] = []

    def start(manners: Manners, **more: Any) -> Server:
        running.append(Server(manners, **more))
        return running[-1]

    yield start
    for server in running:
        server.close()


@pytest.fixture
def wire_to() -> Iterator[Callable[..., Wire]]:
    """A wire that may call the given servers although they live on this machine."""
    made: list[Wire] = []

    def make(*servers: Server, **more: Any) -> Wire:
        made.append(Wire(allow=[server.origin for server in servers], **more))
        return made[-1]

    yield make
    for wire in made:
        wire.close()


@pytest.fixture
def exchanges() -> list[Exchange]:
    """Where a test collects the records of its calls."""
    return []


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Who issues the certificates of our servers."""
    return Issuer(tmp_path_factory.mktemp("tls"))
