"""Verdicts → lines for people and for programs: one an object where objects are listed, one an attempt where attempts are judged, and then
the same for what is shown, would be deleted and was."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson

from janitor.core.classify import Verdict
from janitor.core.snapshot import StoredObject


@dataclass(frozen=True, slots=True)
class Tally:
    """Attempts, their objects and bytes."""

    attempts: int = 0
    objects: int = 0
    size_bytes: int = 0

    @classmethod
    def of(cls, verdicts: Iterable[Verdict]) -> "Tally":
        found = [(len(verdict.objects), verdict.size_bytes) for verdict in verdicts]
        return cls(len(found), sum(objects for objects, _ in found), sum(size for _, size in found))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.attempts + other.attempts, self.objects + other.objects, self.size_bytes + other.size_bytes)

    def told(self, noun: str) -> str:
        """`3 orphans, 31.2 MB`, where `noun` is what an attempt is called here."""
        return f"{counted(self.attempts, noun)}, {readable_size(self.size_bytes)}"

    def __str__(self) -> str:
        return f"{counted(self.objects, 'object')} of {counted(self.attempts, 'attempt')}, {readable_size(self.size_bytes)}"


def object_lines(verdict: Verdict, at: datetime) -> Iterator[str]:
    """State, when stored (UTC), size, key, proof: columns apart by two blanks, the key's stamp there for grep."""
    for stored in verdict.objects:
        when, size = f"{stored.stored_at:%Y-%m-%d %H:%M:%S}", f"{readable_size(stored.size_bytes):>8}"
        yield f"{verdict.state.value:9}  {when}  {size}  {printable(stored.key)}  ({verdict.proof})"


def object_json(verdict: Verdict, at: datetime) -> Iterator[str]:
    """The same as JSON; times RFC 3339."""
    for stored in verdict.objects:
        yield _json({"key": stored.key, **_judged(verdict), **_stored((stored,), at), **_named(verdict)})


def attempt_line(verdict: Verdict, at: datetime, *, deleted: bool = False) -> str:
    """State, size, age, the session it was made in and its number there, its offsets, its objects, the proof. `at`: the bucket's clock."""
    key = verdict.key
    assert key is not None
    state = "deleted" if deleted else verdict.state.value
    suffixes = " and ".join(sorted(stored.key.rpartition(".")[2] for stored in verdict.objects))
    return (
        f"{state:9}  {readable_size(verdict.size_bytes):>8}  {readable_age(at - verdict.stored_at):>8}"
        f"  session {key.session:%Y-%m-%d %H:%M:%S}  batch {key.number}  offsets {key.offsets.start} to {key.offsets.stop - 1}"
        f"  {key.stem} ({suffixes})  {verdict.proof}"
    )


def attempt_json(verdict: Verdict, at: datetime, *, deleted: bool = False) -> str:
    """The same as JSON; times RFC 3339."""
    keys = [stored.key for stored in verdict.objects]
    return _json({"keys": keys, **_judged(verdict), "deleted": deleted, **_stored(verdict.objects, at), **_named(verdict)})


def _judged(verdict: Verdict) -> dict[str, object]:
    return {"state": verdict.state.value, "proof": verdict.proof}


def _stored(objects: tuple[StoredObject, ...], at: datetime) -> dict[str, object]:
    stored_at = max(stored.stored_at for stored in objects)
    size_bytes = sum(stored.size_bytes for stored in objects)
    return {"stored_at": stored_at, "age_seconds": int((at - stored_at).total_seconds()), "size_bytes": size_bytes}


def _named(verdict: Verdict) -> dict[str, object]:
    key = verdict.key
    if key is None:
        return {}
    return {
        "topic": key.topic,
        "partition": key.partition,
        "session": key.session,
        "batch": key.number,
        "offset_start": key.offsets.start,
        "offset_stop": key.offsets.stop,
        "epoch": key.epoch,
    }


def _json(body: dict[str, object]) -> str:
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


def readable_size(size_bytes: int) -> str:
    """In powers of a thousand, as storage is sold."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def readable_age(age: timedelta) -> str:
    """In two units at most: `3d 4h`, `2h 05m`, `12m`, `40s`."""
    seconds = max(int(age.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60:02}m"
    return f"{minutes}m" if minutes else f"{seconds}s"


def printable(key: str) -> str:
    """Foreign keys may hold anything; a terminal gets no control character of theirs."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in key)


def counted(number: int, noun: str) -> str:
    if number == 1:
        return f"{number} {noun}"
    return f"{number} {noun}{'es' if noun.endswith('ch') else 's'}"
