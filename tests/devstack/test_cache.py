"""The cache holds whole things or nothing."""

import threading
from pathlib import Path

import pytest

from devstack.cache import cache_root, cached


def fill(folder: Path) -> None:
    (folder / "jar").write_text("whole")


def test_what_is_cached_is_not_filled_again(tmp_path: Path) -> None:
    first = cached(tmp_path, "kafka", fill)
    (first / "mark").touch()
    assert (cached(tmp_path, "kafka", fill) / "mark").exists()


def test_an_interrupted_fill_leaves_nothing_behind_that_looks_whole(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "jar").write_text("hal")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "kafka", interrupted)
    assert not (tmp_path / "kafka").exists()
    assert (cached(tmp_path, "kafka", fill) / "jar").read_text() == "whole"


def test_a_damaged_entry_is_replaced(tmp_path: Path) -> None:
    (cached(tmp_path, "kafka", fill) / "jar").write_text("damaged")
    again = cached(tmp_path, "kafka", fill, intact=lambda folder: (folder / "jar").read_text() == "whole")
    assert (again / "jar").read_text() == "whole"


def test_two_that_want_the_same_thing_at_once_fill_it_once(tmp_path: Path) -> None:
    fills = []
    inside = threading.Event()

    def slow(folder: Path) -> None:
        fills.append(folder)
        inside.set()
        second_waits.wait(0.2)
        fill(folder)

    second_waits = threading.Event()
    threads = [threading.Thread(target=cached, args=(tmp_path, "kafka", slow)) for _ in range(2)]
    threads[0].start()
    inside.wait()
    threads[1].start()
    for thread in threads:
        thread.join()
    assert len(fills) == 1


def test_the_cache_lies_outside_the_repository_where_xdg_says() -> None:
    assert cache_root({"XDG_CACHE_HOME": "/elsewhere"}) == Path("/elsewhere/tidemark-devstack")
    assert cache_root({"XDG_CACHE_HOME": "not/absolute"}) == Path.home() / ".cache/tidemark-devstack"


def test_what_an_interrupted_fill_left_is_removed_by_the_next(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "jar").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "kafka", interrupted)
    cached(tmp_path, "kafka", fill)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kafka", "kafka.lock"]
