"""Verdicts → lines for people and for programs: one an object, the same for what is shown, would be deleted and was."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

from janitor.core.classify import Verdict


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts, their objects and bytes."""

    attempts: int = 0
    objects: int = 0
    size_bytes: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> "Tally":
        found = [(len(verdict.objects), sum(stored.size_bytes for stored in verdict.objects)) for verdict in verdicts]
        return cls(len(found), sum(objects for objects, _ in found), sum(size for _, size in found))

    def __str__(self) -> str:
        return f"{_count(self.attempts, 'attempt')}, {_count(self.objects, 'object')}, {readable_size(self.size_bytes)}"


def lines(verdict: Verdict, *, deleted: bool = False) -> Iterator[str]:
    """State, when stored (UTC), size, key, proof: columns apart by two blanks, the key's stamp there for grep."""
    state = f"{'deleted' if deleted else verdict.state.value:9}"
    for stored in verdict.objects:
        when, size = f"{stored.stored_at:%Y-%m-%d %H:%M:%S}", f"{readable_size(stored.size_bytes):>10}"
        yield f"{state}  {when}  {size}  {printable(stored.key)}  ({verdict.proof})"


def json_lines(verdict: Verdict, *, deleted: bool = False) -> Iterator[str]:
    """The same as JSON; times RFC 3339."""
    key = verdict.key
    for stored in verdict.objects:
        out: dict[str, object] = {
            "key": stored.key,
            "state": verdict.state.value,
            "proof": verdict.proof,
            "deleted": deleted,
            "stored_at": stored.stored_at,
            "size_bytes": stored.size_bytes,
        }
        if key is not None:
            out |= {
                "topic": key.topic,
                "partition": key.partition,
                "session": key.session,
                "batch": key.number,
                "offset_start": key.offsets.start,
                "offset_stop": key.offsets.stop,
                "epoch": key.epoch,
            }
        yield orjson.dumps(out, option=orjson.OPT_UTC_Z).decode()


def readable_size(size_bytes: int) -> str:
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def printable(key: str) -> str:
    """Foreign keys may hold anything; a terminal gets no control character of theirs."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in key)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
