"""Fault rules: what goes wrong on purpose, and when. Tests write them to a file while the server runs.

The file holds one JSON rule a line and is replaced as a whole, so the server never reads half of one."""

import json
import os
import re
import threading
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

Action = Literal["drop_before", "drop_after", "error_1023", "error_15001", "hang", "delay"]


@dataclass(frozen=True, slots=True)
class Rule:
    """When a statement matches `kind` (the journal's verb, or `connect`) and `statement` (a regular expression, searched without
    case), do `action` on the `nth` match and the `times - 1` after it (`times` 0: on all).

    `drop_before`: the socket is closed and the statement does not run. `drop_after`: it runs, the answer is lost.
    `error_1023`, `error_15001`: it does not run, the transaction fails with that error. `hang`: silence for `seconds`, then the
    socket is closed, the statement does not run. `delay`: it runs after `seconds`, even when the client has left by then."""

    action: Action
    kind: str = ""
    statement: str = ""
    nth: int = 1
    times: int = 1
    seconds: float = 0.0
    id: str = ""

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ValueError(f"unknown fault action {self.action!r}, expected one of {', '.join(get_args(Action))}")
        if not self.kind and not self.statement:
            raise ValueError("a fault rule needs a kind or a statement to match")
        if self.nth < 1 or self.times < 0 or self.seconds < 0:
            raise ValueError("need nth >= 1, times >= 0, seconds >= 0")
        if self.action in ("hang", "delay") and self.seconds == 0:
            raise ValueError(f"{self.action} needs seconds > 0")
        re.compile(self.statement)

    def matches(self, kind: str, sql: str) -> bool:
        if self.kind and self.kind != kind:
            return False
        return not self.statement or re.search(self.statement, sql, re.IGNORECASE | re.DOTALL) is not None

    def due(self, occurrence: int) -> bool:
        """Whether the rule acts on its `occurrence`-th match, counted from 1."""
        return occurrence >= self.nth and (self.times == 0 or occurrence < self.nth + self.times)


class FaultRules:
    """What a test holds: adds rules to the running server's file, and clears them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, action: Action, *, kind: str = "", statement: str = "", nth: int = 1, times: int = 1, seconds: float = 0.0) -> Rule:
        """Its matches are counted from now on. Raises ValueError for a rule that could never act."""
        rule = Rule(action, kind, statement, nth, times, seconds, uuid.uuid4().hex)
        self._write([*read_rules(self._path), rule])
        return rule

    def clear(self) -> None:
        self._write([])

    def _write(self, rules: list[Rule]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.write_text("".join(json.dumps(asdict(rule)) + "\n" for rule in rules), encoding="utf-8")
        os.replace(temporary, self._path)


def read_rules(path: Path) -> list[Rule]:
    if not path.exists():
        return []
    return [Rule(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


class FaultInjector:
    """The server's side: reads the file again whenever it was replaced, and counts each rule's matches."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int] | None = None
        self._rules: list[Rule] = []
        self._matched: dict[str, int] = {}
        self._guard = threading.Lock()

    def strike(self, kind: str, sql: str = "") -> Rule | None:
        """The rule that acts on this statement, None for none. Every rule that matches counts it; the first that is due acts."""
        with self._guard:
            self._refresh()
            acting: Rule | None = None
            for rule in self._rules:
                if rule.matches(kind, sql):
                    self._matched[rule.id] = self._matched.get(rule.id, 0) + 1
                    if acting is None and rule.due(self._matched[rule.id]):
                        acting = rule
            return acting

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._rules, self._version = [], None
            return
        version = (status.st_mtime_ns, status.st_ino)
        if version != self._version:
            self._rules, self._version = read_rules(self._path), version
