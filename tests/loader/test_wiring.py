"""What of the settings reaches the loader."""

import pytest

from contracts.ledger import TopicOffset
from contracts.progress import TableState
from loader.wiring import captured
from runtime.settings import Settings
from tests.runtime.test_settings import smallest


@pytest.mark.parametrize(
    ("table", "topic", "ours"),
    [
        ("shop.orders", "p.shop.orders", True),
        ("shop.tmp_1", "p.shop.tmp_1", False),
        ("other.orders", "p.other.orders", False),
        # A name with a dot: the topic of table `a.b` is another one, and which table it is nobody can tell.
        ("other.a.b", "p.other.a.b", True),
    ],
)
def test_a_table_has_left_the_pipeline_when_the_settings_say_so_beyond_doubt(table: str, topic: str, ours: bool) -> None:
    settings = Settings.model_validate({**smallest(), "pipeline": "p", "tables": {"include": ["shop.*"], "exclude": ["*.tmp_*"]}})
    held = TopicOffset(topic, 0, "id-1", 5, 5, TableState.OK, 0, table, "")
    assert captured(settings)(held) == ours
