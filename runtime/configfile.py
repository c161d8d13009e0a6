"""`tidemark.yaml` as plain values, with the line of every key, and `${VAR}` and `${file:/path}` filled in."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import Invalid

KeyPath = tuple[str, ...]

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)\}")  # `$${x}` is the text `${x}`
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What the file says. `lines`: the line of each key, from 1. `unfilled`: keys whose references stand as they are."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    unfilled: frozenset[KeyPath] = frozenset()

    def place(self, path: KeyPath) -> str:
        """`tidemark.yaml:12` for a key of the file or its nearest parent; the file alone for what it doesn't hold."""
        while path and path not in self.lines:
            path = path[:-1]
        return f"{self.name}:{self.lines[path]}" if path else self.name


def read(path: Path, environ: Mapping[str, str], needs: Callable[[KeyPath], bool] = lambda key_path: True) -> ConfigFile:
    """Reads a YAML mapping. A missing variable or file is left unfilled in a key that this command does not need, so that the janitor
    starts without MySQL's password. Raises Invalid naming file, line and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"cannot read the configuration {path}: {error}") from error
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        raise Invalid(f"{path} is not YAML: {_problem(error)}") from None  # the library's own message quotes lines, which may hold secrets
    if node is None:
        return ConfigFile(str(path))
    if not isinstance(node, yaml.MappingNode):
        raise Invalid(f"{path}: settings are `key: value` lines; this file holds something else")
    lines: dict[KeyPath, int] = {}
    for key_path, line in _keys(node, ()):
        if key_path in lines:
            raise Invalid(f"{path}:{line}: {'.'.join(key_path)} is set twice, first in line {lines[key_path]}")
        lines[key_path] = line
    try:
        values = loader.construct_document(node)
    except (yaml.YAMLError, ValueError, KeyError, AttributeError) as error:  # the last two: !!bool and !!timestamp before other text
        raise Invalid(f"{path}: {_problem(error)}") from None
    faults: list[str] = []
    left: set[KeyPath] = set()
    place = ConfigFile(str(path), {}, lines).place

    def fill(value: Any, key_path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {str(key): fill(item, (*key_path, str(key))) for key, item in value.items()}
        if isinstance(value, list):
            return [fill(item, key_path) for item in value]
        if not isinstance(value, str):
            return value
        text, unfilled = _fill(value, environ)
        if unfilled and needs(key_path):
            faults.extend(f"{place(key_path)}: {'.'.join(key_path)}: {fault}" for fault in unfilled)
        elif unfilled:
            left.add(key_path)
        return text

    filled = fill(values, ())
    if faults:
        raise Invalid("\n  ".join(faults))
    return ConfigFile(str(path), filled, lines, frozenset(left))


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "a value cannot be read"
    if any(word in problem for word in ("alias", "anchor", "tag")):  # YAML's words quote the value: `*secret` is one, `!secret` another
        problem = "a value that begins with *, & or ! has to be quoted; there is one"
    return f"{problem} in line {mark.line + 1}" if mark else problem


def _keys(node: yaml.MappingNode, above: KeyPath) -> Iterator[tuple[KeyPath, int]]:
    for key, value in node.value:
        path = (*above, str(key.value))
        yield path, key.start_mark.line + 1
        if isinstance(value, yaml.MappingNode):
            yield from _keys(value, path)


def _fill(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its references filled in, and what is wrong with those that could not be."""
    faults = []

    def fill(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        try:
            return _resolve(match[2], environ)
        except ValueError as error:
            faults.append(str(error))
            return match[0]

    return _REFERENCE.sub(fill, text), faults


def _resolve(reference: str, environ: Mapping[str, str]) -> str:
    if reference.startswith("file:"):
        name = reference.removeprefix("file:")
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"cannot read the file of ${{{reference}}}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    if not _VARIABLE.fullmatch(reference):
        raise ValueError(f"${{{reference}}} is neither a variable's name nor file:/path")
    if reference not in environ:
        raise ValueError(f"the environment has no variable {reference}")
    return environ[reference]
