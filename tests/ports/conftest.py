"""Each suite's worlds: the fake one, and the real one on devstack's servers."""

import uuid

import pytest

BOTH = ["fake", pytest.param("real", marks=pytest.mark.stack)]
"""For a fixture's `params`."""


@pytest.fixture
def unused_name() -> str:
    """A name nothing on the servers has."""
    return f"t{uuid.uuid4().hex[:10]}"
