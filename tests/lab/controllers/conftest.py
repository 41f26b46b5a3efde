"""The cluster of these tests."""

import pytest
from tests.lab.controllers.world import World, make_world


@pytest.fixture
def world() -> World:
    return make_world()
