"""The cluster of these tests."""

import pytest
from tests.lab.platform.world import Platform, make_platform


@pytest.fixture
def platform() -> Platform:
    return make_platform("keda")
