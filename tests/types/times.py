"""Days and times, as MySQL's calendar has them, and the dates that are none."""

from datetime import UTC, datetime, timedelta
from random import Random

from tests.types.canonical import Family
from tests.types.specimen import Bench, Specimen, bench, quoted

_DAYS = ("0001-01-01", "0999-12-31", "1000-01-01", "1582-10-10", "1900-02-28", "1969-12-31", "1970-01-01", "2000-02-29", "9999-12-31")
_NO_DAYS = ("0000-00-00", "2024-00-00", "2024-05-00", "0000-01-01", "0000-12-31", "2024-02-30", "2023-02-29", "1900-02-29")


def times() -> list[Specimen]:
    fractions = range(7)
    return [
        Specimen("DATE", Family.DATE, "DATE", quoted(*_DAYS), lambda random: f"'{_moment(random, 1, 9999).date()}'"),
        *map(_datetime, fractions),
        *map(_timestamp, fractions),
        *map(_time, fractions),
    ]


def _digits(fraction: int, digits: str) -> str:
    return f".{digits[:fraction]}" if fraction else ""


def _typed(name: str, fraction: int) -> str:
    return f"{name}({fraction})"


def _moment(random: Random, first: int, last: int) -> datetime:
    begin, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last, 12, 31, 23, 59, 59, tzinfo=UTC)
    return begin + timedelta(microseconds=random.randrange((end - begin) // timedelta(microseconds=1)))


def _spelled(at: datetime, fraction: int) -> str:
    text = at.replace(tzinfo=None).isoformat(" ", "microseconds")
    return f"'{text[: 20 + fraction if fraction else 19]}'"


def _datetime(fraction: int) -> Specimen:
    edges = [f"{day} {clock}" for day in ("0001-01-01", "1000-01-01", "1969-12-31", "1970-01-01", "9999-12-31") for clock in ("00:00:00",)]
    edges += [f"{day} 23:59:59{_digits(fraction, '999999')}" for day in ("1582-10-14", "1969-12-31", "2000-02-29", "9999-12-31")]
    edges += [f"2024-06-30 12:34:56{_digits(fraction, '100000')}", f"1969-12-31 23:59:59{_digits(fraction, '000001')}"]
    return Specimen(
        _typed("DATETIME", fraction),
        Family.DATETIME,
        "TIMESTAMP",
        quoted(*edges),
        lambda random: _spelled(_moment(random, 1, 9999), fraction),
    )


def _timestamp(fraction: int) -> Specimen:
    edges = ["1970-01-01 00:00:01", f"2038-01-19 03:14:07{_digits(fraction, '999999')}", "2000-02-29 00:00:00"]
    edges += [f"2024-03-31 02:30:00{_digits(fraction, '500000')}", f"2024-12-31 23:59:59{_digits(fraction, '000001')}"]
    return Specimen(
        _typed("TIMESTAMP", fraction),
        Family.TIMESTAMP,
        "TIMESTAMPTZ",
        quoted(*edges),
        lambda random: _spelled(_moment(random, 1971, 2037), fraction),
    )


def _time(fraction: int) -> Specimen:
    edges = ["00:00:00", "838:59:59", "-838:59:59", "23:59:59", "24:00:00", "-00:00:01"]
    edges += [f"{sign}{clock}{_digits(fraction, digits)}" for sign in ("", "-") for clock, digits in _CLOCKS]

    def chance(random: Random) -> str:
        clock = f"{random.randrange(838):02}:{random.randrange(60):02}:{random.randrange(60):02}"
        return f"'{random.choice(('', '-'))}{clock}{_digits(fraction, f'{random.randrange(10**6):06}')}'"

    return Specimen(_typed("TIME", fraction), Family.TIME, "BIGINT", quoted(*edges), chance)


_CLOCKS = (("00:00:00", "000001"), ("00:00:00", "999999"), ("10:11:12", "123456"), ("837:59:59", "999999"), ("00:00:01", "500000"))


def no_dates() -> Bench:
    """Written under a permissive sql_mode; between them are days that are."""
    clocks = ("00:00:00", "23:59:59")
    moments = [f"{day} {clock}" for day in _NO_DAYS for clock in clocks]

    def chance(random: Random) -> str:
        return f"'{random.choice(('0000', '2024'))}-{random.randrange(13):02}-{random.randrange(29):02}'"

    return bench(
        "no_dates",
        Specimen("DATE", Family.DATE, "DATE", quoted(*_NO_DAYS, "2024-02-29"), chance),
        *(
            Specimen(
                _typed("DATETIME", n), Family.DATETIME, "TIMESTAMP", quoted(*(f"{at}{_digits(n, '123456')}" for at in moments)), chance
            )
            for n in range(7)
        ),
        *(
            Specimen(_typed("TIMESTAMP", n), Family.TIMESTAMP, "TIMESTAMPTZ", quoted("0000-00-00 00:00:00", "1970-01-01 00:00:01"))
            for n in range(7)
        ),
        Specimen("YEAR", Family.WHOLE, "SMALLINT", ("'0000'", "0"), lambda random: str(random.randint(1901, 2155))),
        sql_mode="ALLOW_INVALID_DATES",
    )
