"""Which cases of a parametrised test wait for `make test-long`."""

import pytest
from _pytest.mark.structures import ParameterSet


def long(*values: object) -> list[ParameterSet]:
    """Each value as a case of the long tests: the same promise at another effect, where one case a promise is enough for the short run."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]
