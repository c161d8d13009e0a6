"""Names of databases and tables as the server's table maps spell them, made from how a statement's text does.

Under lower_case_table_names = 1 (Windows' default) the server stores every name, and puts it into table maps, in lower case, while a
statement goes to the binlog as it was typed. Source: MySQL manual, "Identifier Case Sensitivity"; which letters become which was seen on a
9.7: its utf8mb3 knows the cases of an older Unicode than Python.
"""

import re
from collections.abc import Callable, Mapping

Spelling = Callable[[str], str]

# Letters that have a lower case by now, and none to MySQL. What else is in these ranges has none to anybody.
_CASELESS = re.compile(
    "[\u0220\u023a-\u024f\u0370-\u0377\u037f\u03cf\u03d8\u03f4\u03f7-\u03ff\u048a\u04c0\u04c5\u04c9\u04cd\u04f6\u04fa-\u04ff\u0500-\u052f"
    "\u10a0-\u10cf\u13a0-\u13ff\u1c90-\u1cbf\u1e9e\u1efa-\u1eff\u2132\u2183\u2c00-\u2cff\ua640-\ua7ff]"
)


def spelling(variables: Mapping[str, str]) -> Spelling:
    """The server's way to spell a name. `variables`: as of `ServerStatus`."""
    return as_typed if variables.get("lower_case_table_names", "0") == "0" else lower_case


def as_typed(name: str) -> str:
    return name


def lower_case(name: str) -> str:
    """As MySQL lower-cases a name, letter by letter."""
    return name.lower() if name.isascii() else "".join(map(_lower_case, name))


def _lower_case(letter: str) -> str:
    if letter == "\u0130":
        return "i"  # without the dot that Python keeps
    return letter if _CASELESS.match(letter) else letter.lower()
