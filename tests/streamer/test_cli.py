"""What is typed is done, or refused; nothing of it is passed over."""

import pytest

from runtime import command
from streamer import cli


@pytest.mark.parametrize(
    "arguments",
    [
        "--dry-run snapshot -t shop.orders --resync",
        "-t shop.orders adopt-server --yes",
        "--from-timestamp 2h snapshot -t shop.orders",
        "--until 2h snapshot -t shop.orders",
        "--again snapshot -t shop.orders",
        "--json status",
    ],
)
def test_a_flag_of_from_timestamp_in_front_of_a_verb_is_refused(
    arguments: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "start", lambda *_, **__: pytest.fail("the settings are read already"))
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments.split())
    assert caught.value.code == 2
    assert f"{arguments.split()[0]} " in capsys.readouterr().err
