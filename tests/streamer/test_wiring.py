"""What of the settings reaches the services."""

from runtime.settings import Settings
from streamer.wiring import choices
from tests.runtime.test_settings import smallest


def test_every_name_of_a_table_in_the_settings_is_held_against_the_server() -> None:
    tables = {"include": ["shop.*"], "exclude": ["*.tmp_*"], "override": {"shop.Clicks": {"mode": "append"}}}
    settings = Settings.model_validate({**smallest(), "tables": tables})
    assert sorted(choices(settings).names) == ["*.tmp_*", "shop.*", "shop.Clicks"]
