import pytest

from contracts.errors import Corrupt, Fenced, Gone, Invalid, OutcomeUnknown, PipelineError, Refused, Unavailable


@pytest.mark.parametrize(
    ("error", "exit_code"), [(Unavailable, 1), (OutcomeUnknown, 1), (Fenced, 1), (Corrupt, 1), (Invalid, 2), (Gone, 3), (Refused, 3)]
)
def test_the_exit_code_tells_what_to_do(error: type[PipelineError], exit_code: int) -> None:
    assert error("what happened").exit_code == exit_code


def test_an_error_carries_its_details_beside_its_message() -> None:
    error = Unavailable("S3 answers SlowDown", key="a/b", code="SlowDown")
    assert (str(error), error.fields) == ("S3 answers SlowDown", {"key": "a/b", "code": "SlowDown"})
