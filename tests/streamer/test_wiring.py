"""What of the settings reaches the services."""

from runtime.settings import Settings
from streamer.wiring import choices


def test_every_name_of_a_table_in_the_settings_is_held_against_the_server() -> None:
    secret = {"host": "nowhere", "user": "nobody", "password": "none"}
    settings = Settings.model_validate(
        {
            "pipeline": "p",
            "mysql": secret,
            "kafka": {"bootstrap_servers": "nowhere", "security_protocol": "SSL"},
            "s3": {"bucket": "none"},
            "redshift": {**secret, "database": "none"},
            "tables": {"include": ["shop.*"], "exclude": ["*.tmp_*"], "override": {"shop.Clicks": {"mode": "append"}}},
        }
    )
    assert sorted(choices(settings).names) == ["*.tmp_*", "shop.*", "shop.Clicks"]
