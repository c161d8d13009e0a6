"""Every character set, code by code, against the server's own conversion."""

import pytest

from contracts.errors import Corrupt
from devstack.mysql import MysqlServer
from streamer.core.charsets import BINARY, CHARSETS, charset_of, decode_lossy, decoder
from tests.marks import long
from tests.streamer.core.recording import run

BY_LEAD = {"big5", "cp932", "eucjpms", "euckr", "gb18030", "gb2312", "gbk", "sjis", "ujis"}
UNICODE = {"ucs2", "utf16", "utf16le", "utf32", "utf8mb3", "utf8mb4"}
SINGLE = CHARSETS - BY_LEAD - UNICODE - {BINARY}


def decode(charset: str, code: bytes) -> str | None:
    try:
        return decoder(charset)(code)
    except UnicodeDecodeError:
        return None


@pytest.fixture(scope="module")
def codes(server: MysqlServer) -> MysqlServer:
    """Tables of all codes of one and two bytes and those of three that begin with 0x8f, and of all code points."""
    run(
        server,
        [
            "SET SESSION sql_log_bin = 0",
            "SET SESSION cte_max_recursion_depth = 2000000",
            "CREATE DATABASE all_codes",
            "CREATE TABLE all_codes.codes (code VARBINARY(4) PRIMARY KEY)",
            "INSERT INTO all_codes.codes WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 65535)"
            " SELECT UNHEX(LPAD(HEX(i), 2, '0')) FROM n WHERE i < 256"
            " UNION ALL SELECT UNHEX(HEX(i)) FROM n WHERE i >= 0x8000"
            " UNION ALL SELECT UNHEX(CONCAT('8F', HEX(i))) FROM n WHERE i >= 0x8080",
            "CREATE TABLE all_codes.points (point INT PRIMARY KEY)",
            "INSERT INTO all_codes.points WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 1114111)"
            " SELECT i FROM n WHERE i NOT BETWEEN 0xD800 AND 0xDFFF",
        ],
    )
    return server


@pytest.mark.stack
@pytest.mark.parametrize("charset", [*sorted(SINGLE), *long(*sorted(BY_LEAD))])
def test_every_code_stands_for_the_character_the_server_gives_it(codes: MysqlServer, charset: str) -> None:
    longest = 1 if charset in SINGLE else 3 if charset in ("eucjpms", "ujis") else 2
    as_text = f"CONVERT(code USING {charset})"
    with codes.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = ''")
        cursor.execute(
            f"SELECT code, HEX(CONVERT({as_text} USING utf32)), HEX(CONVERT({as_text} USING binary)) "
            f"FROM all_codes.codes WHERE LENGTH(code) <= {longest}"
        )
        rows = cursor.fetchall()

    wrong: list[tuple[str, str | None, str | None]] = []
    defined = 0
    for code, in_utf32, kept in rows:
        text = bytes.fromhex(in_utf32 or "").decode("utf-32-be")
        # `?` for what is not a question mark, U+0000 for what is not NUL and U+FFFD are how the server says: no character.
        known = len(text) == 1 and bytes.fromhex(kept) == code and (text not in "?\0" or code in b"?\0") and text != "\ufffd"
        defined += known
        ours = decode(charset, code)
        if known and ours != text:
            wrong.append((code.hex(), text, ours))
        if not known and ours is not None and len(ours) == 1:
            wrong.append((code.hex(), None, ours))
    assert wrong == []
    assert defined >= (127 if charset in SINGLE else 7000)


@pytest.mark.stack
@pytest.mark.parametrize("charset", ["utf8mb4", *long("gb18030", *sorted(UNICODE - {"utf8mb4"}))])
def test_every_code_point_comes_back(codes: MysqlServer, charset: str) -> None:
    last = 0xFFFF if charset in ("ucs2", "utf8mb3") else 0x10FFFF
    with codes.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            f"SELECT point, CONVERT(CONVERT(CONVERT(UNHEX(LPAD(HEX(point), 8, '0')) USING utf32) USING {charset}) USING binary) "
            f"FROM all_codes.points WHERE point <= {last}"
        )
        wrong = [(hex(point), code) for point, code in cursor.fetchall() if decode(charset, code) != chr(point)]
    assert wrong == []


@pytest.mark.stack
def test_every_collation_of_the_server_is_known(server: MysqlServer) -> None:
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, character_set_name FROM information_schema.collations")
        rows = cursor.fetchall()
    assert len(rows) > 280
    assert {number: charset_of(number) for number, _ in rows} == dict(rows)


def test_an_unknown_collation_is_refused_by_number() -> None:
    with pytest.raises(Corrupt, match="9999"):
        charset_of(9999)


@pytest.mark.parametrize(
    ("charset", "data"),
    [("utf8mb4", b"a\xff"), ("cp1251", b"\x98"), ("ucs2", b"\xd8\x3d\xde\x00"), ("ucs2", b"a"), ("utf16", b"\xd8\x00"), ("tis620", b"\xa0"),
     ("big5", b"\xa1\x5a"), ("cp932", b"\xa0"), ("ujis", b"\xa1"), ("ascii", b"\x80"), ("swe7", b"\xe5")],
)  # fmt: skip
def test_bytes_without_a_character_are_an_error_and_never_a_replacement(charset: str, data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decoder(charset)(data)


def test_a_code_read_otherwise_is_found_between_others() -> None:
    assert decoder("sjis")(b"\x83\x5c\x81\x5f\x5c\xb1") == "ソ\\\\ｱ"
    assert decoder("ujis")(b"\xf5\xa1\xa1\xc0\xb0\xa1\x8f\xf5\xa1") == "\ue000\\亜\ue3ac"
    # The tail of one character and the head of the next look like a code that is read otherwise.
    assert decoder("big5")(b"\xa4\xa1\x5a\xa4\x40") == decoder("big5")(b"\xa4\xa1") + "Z一"


def test_text_for_people_keeps_what_it_cannot_read_as_hex() -> None:
    assert decode_lossy(b"DROP TABLE caf\xe9", 45) == "DROP TABLE caf\\xe9"
    assert decode_lossy(b"DROP TABLE caf\xe9", 8) == "DROP TABLE café"
