"""An admin client that gets no answer is not asked again."""

from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from contracts.errors import Unavailable
from runtime.connect.kafka import Admin


class Made:
    """Each client is a number."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> AdminClient:
        self.count += 1
        return cast(AdminClient, self.count)


def asked(admin: Admin, error: Exception | None = None) -> Any:
    with admin.client() as client:
        if error is not None:
            raise error
        return client


def test_a_client_is_made_when_it_is_needed_and_kept_while_it_answers() -> None:
    made = Made()
    admin = Admin(made)
    assert made.count == 0
    assert [asked(admin), asked(admin)] == [1, 1]
    with pytest.raises(KafkaException):
        asked(admin, KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)))
    assert asked(admin) == 1, "that was an answer"


@pytest.mark.parametrize("error", [Unavailable("no answer"), KafkaException(KafkaError(KafkaError._TIMED_OUT))])
def test_after_no_answer_another_one_is_asked(error: Exception) -> None:
    admin = Admin(Made())
    assert asked(admin) == 1
    with pytest.raises(type(error)):
        asked(admin, error)
    assert [asked(admin), asked(admin)] == [2, 2]
