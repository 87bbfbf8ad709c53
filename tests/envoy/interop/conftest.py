"""One Keycloak for all: its start is what takes the time."""

from collections.abc import Iterator

import pytest

from support.keycloak import Keycloak


@pytest.fixture(scope="session")
def keycloak() -> Iterator[Keycloak]:
    """A Keycloak with the realm of the tests. Who rotates its keys leaves as many as there were."""
    with Keycloak("keycloak") as server:
        yield server
