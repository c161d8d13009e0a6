"""The host's mirror, from both formats of apt's sources."""

from pathlib import Path

import pytest

from contracts.errors import Invalid
from devstack.aptsources import AptSource, debian_mirror, host_sources, parse_deb822, parse_one_line

MIRROR = "http://mirror.example/debian"


def test_a_one_line_source_is_read_with_and_without_options() -> None:
    text = f"# comment\ndeb {MIRROR} bookworm main contrib # why\ndeb [arch=amd64 signed-by=/k.gpg] {MIRROR} sid main\n"
    assert parse_one_line(text) == [AptSource(MIRROR, "bookworm", ("main", "contrib")), AptSource(MIRROR, "sid", ("main",))]


def test_source_packages_and_commented_lines_give_no_binary_source() -> None:
    assert parse_one_line(f"deb-src {MIRROR} sid main\n#deb {MIRROR} sid main\n") == []


def test_a_deb822_stanza_gives_every_uri_with_every_suite() -> None:
    text = (
        f"Types: deb deb-src\n# a comment inside\nURIs: {MIRROR}\n http://second.example/debian\nSuites: bookworm sid\nComponents: main\n"
    )
    found = parse_deb822(text)
    assert [(s.uri, s.suite) for s in found] == [
        (MIRROR, "bookworm"),
        (MIRROR, "sid"),
        ("http://second.example/debian", "bookworm"),
        ("http://second.example/debian", "sid"),
    ]
    assert {s.components for s in found} == {("main",)}


def test_a_disabled_stanza_and_one_of_sources_only_give_nothing() -> None:
    stanza = f"URIs: {MIRROR}\nSuites: sid\nComponents: main\n"
    assert parse_deb822(f"Types: deb\nEnabled: no\n{stanza}\nTypes: deb-src\n{stanza}") == []


def test_a_blank_line_ends_a_stanza() -> None:
    first, second = (f"types: deb\nuris: http://{host}.example/debian\nsuites: sid\ncomponents: main\n" for host in "ab")
    assert [s.uri for s in parse_deb822(f"{first} \n\n{second}")] == ["http://a.example/debian", "http://b.example/debian"]


def test_the_mirror_is_the_debian_archive_and_not_its_neighbours() -> None:
    sources = [
        AptSource("https://packages.example/apt", "sdk", ("main",)),
        AptSource("http://mirror.example/debian-security", "bookworm-security", ("main",)),
        AptSource("https://other.example/debian", "bookworm", ("nginx",)),
        AptSource(MIRROR + "/", "bookworm", ("main", "contrib")),
    ]
    assert debian_mirror(sources, {}) == MIRROR + "/"


def test_the_variable_wins_over_the_host() -> None:
    assert (
        debian_mirror([AptSource(MIRROR, "sid", ("main",))], {"TIDEMARK_DEBIAN_MIRROR": "http://own.example/debian"})
        == "http://own.example/debian"
    )


def test_a_host_without_a_debian_archive_is_told_which_variable_names_one() -> None:
    with pytest.raises(Invalid, match="TIDEMARK_DEBIAN_MIRROR"):
        debian_mirror([AptSource("http://mirror.example/ubuntu", "noble", ("main",))], {})


def test_the_main_file_is_read_first_then_the_parts_by_name_and_nothing_else(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    (tmp_path / "sources.list").write_text("deb http://first.example/debian sid main\n")
    (parts / "b.list").write_text("deb http://third.example/debian sid main\n")
    (parts / "a.sources").write_text("Types: deb\nURIs: http://second.example/debian\nSuites: sid\nComponents: main\n")
    (parts / "c.list.save").write_text("deb http://backup.example/debian sid main\n")
    assert [s.uri.split("/")[2] for s in host_sources(tmp_path)] == ["first.example", "second.example", "third.example"]
