"""The download cache, shared by every checkout of this user: locked while filled, whole or absent, never in the repository."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def cache_root(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/tidemark-devstack`, else `~/.cache/…`. Source: XDG Base Directory Specification 0.8 (a relative path is ignored)."""
    configured = environ.get("XDG_CACHE_HOME", "")
    base = Path(configured) if configured.startswith("/") else Path.home() / ".cache"
    return base / "tidemark-devstack"


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Holds an exclusive lock on `file` between processes and threads; it ends with the process that holds it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(root: Path, name: str, fill: Callable[[Path], None], intact: Callable[[Path], bool] = lambda _: True) -> Path:
    """The directory `root/name`, made by `fill(empty directory)` when it is absent or no longer `intact`.

    It is filled aside and renamed, so an interrupted `fill` leaves nothing that a later one could take for whole. Two processes
    that want the same name wait for each other; different names fill at the same time."""
    final = root / name
    with locked(root / f"{name}.lock"):
        if final.is_dir():
            if intact(final):
                return final
            shutil.rmtree(final)
        for left in root.glob(f"{name}.partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own: a downloader whose asker was killed may still be writing to the one before.
        aside = Path(tempfile.mkdtemp(prefix=f"{name}.partial-", dir=root))
        aside.chmod(0o755)
        fill(aside)
        aside.rename(final)
    return final
