"""Dates and times of the sheets: ISO or the study's own format, in the study's time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?P<time>[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(?P<zone>Z|[+-]\d\d:?\d\d)?)?"
)
_TOKENS = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d"}
_TIME_TOKENS = {"hh": "%H", "mm": "%M", "ss": "%S"}
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S")

# Outside these years a date of a septic-shock cohort is a slip of the keyboard.
_YEARS = range(1900, 2101)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, with or without its time of day; midnight stands for an unknown time."""

    at: datetime
    has_time: bool
    doubt: str | None = None  # an hour that the clocks skip or repeat


class Clock:
    """Reads the sheets' dates; one per study."""

    def __init__(self, date_format: str | None = None, timezone: str | None = None) -> None:
        """Raise ValueError, with a message for a person, for a format or zone that is none."""
        self.date_format = strptime_format(date_format) if date_format is not None else None
        self.zone = _zone(timezone) if timezone is not None else None

    def read(self, text: str) -> Moment:
        """Read one cell; ValueError says what was found, what was wanted and what to do.

        With a time zone, or an offset in the text, the moment is aware, with a fixed offset:
        Python subtracts two times of one zone by their wall clocks, an hour wrong across a change
        of clocks.
        """
        at, has_time = self._parse(text)
        if at.year not in _YEARS:
            raise ValueError(f"found {text!r}, in the year {at.year}. Check the date")
        if at.tzinfo is not None:
            return Moment(_fixed(at.astimezone(self.zone) if self.zone else at), has_time)
        if self.zone is None:
            return Moment(at, has_time)
        doubt = _clock_change(at, self.zone) if has_time else None
        return Moment(_fixed(at.replace(tzinfo=self.zone)), has_time, doubt)

    def _parse(self, text: str) -> tuple[datetime, bool]:
        if self.date_format is not None:
            for more in _TIMES:
                layout = self.date_format + more
                try:
                    return datetime.strptime(text, layout), bool(_time_directives(layout))
                except ValueError:
                    continue
        iso = _ISO.fullmatch(text)
        # Year-day-month would read an ISO date wrongly.
        if iso and not (self.date_format or "").startswith("%Y-%d"):
            try:
                return datetime.fromisoformat(text), iso["time"] is not None
            except ValueError as error:
                raise ValueError(f"found {text!r}: {error}") from None
        raise ValueError(self._wanted(text))

    def _wanted(self, text: str) -> str:
        if self.date_format is not None:
            return f'found {text!r}; wanted a date as [study] date_format "{self.date_format}" says'
        if re.fullmatch(r"\d{5}(\.\d+)?", text):
            return f"found {text!r}, perhaps Excel's number of a day. Format the column as a date"
        hint = ""
        if re.match(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}", text):
            hint = '. If days come first, set [study] date_format = "%d/%m/%Y" (with its own marks)'
        return f"found {text!r}; wanted a date such as 2024-03-31 or 2024-03-31 14:30{hint}"


def precedes(first: datetime | None, second: datetime | None) -> bool:
    """Whether one moment is certainly before another: False where one is unknown.

    A moment with an offset and one without cannot be compared; the study is refused for that.
    """
    if first is None or second is None or (first.tzinfo is None) != (second.tzinfo is None):
        return False
    return first < second


def strptime_format(text: str) -> str:
    """Turn `dd/mm/yyyy hh:mm` into Python's directives; a format with `%` is taken as it is.

    ValueError where a date written in the format does not read back.
    """
    layout = text if "%" in text else _translated(text)
    probe = datetime(2023, 11, 22)
    try:
        read_back = datetime.strptime(probe.strftime(layout), layout)
    except ValueError:
        read_back = None
    if read_back != probe:
        raise ValueError(
            f"found {text!r}; wanted day, month and year, such as "
            '"%d/%m/%Y", "dd/mm/yyyy" or "%d.%m.%Y %H:%M"'
        )
    return layout


def _translated(text: str) -> str:
    day, mark, hour = text.strip().lower().partition(" ")
    day = re.sub(r"yyyy|yy|mm|dd", lambda token: _TOKENS[token[0]], day)
    return day + mark + re.sub(r"hh|mm|ss", lambda token: _TIME_TOKENS[token[0]], hour)


def _time_directives(layout: str) -> list[str]:
    return re.findall(r"%[HIMSTXRcp]", layout)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a key, or a folder of the database
        raise ValueError(
            f'found {name!r}; wanted a time zone of the IANA list, such as "Europe/Paris". '
            "Where no zone is known (Windows), install the package tzdata"
        ) from None


def _fixed(at: datetime) -> datetime:
    return at.replace(tzinfo=timezone(at.utcoffset() or timedelta(0)), fold=0)


def _clock_change(at: datetime, zone: tzinfo) -> str | None:
    first, second = at.replace(tzinfo=zone, fold=0), at.replace(tzinfo=zone, fold=1)
    if first.utcoffset() == second.utcoffset():
        return None
    exists = first.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == at
    what = "is twice on that day" if exists else "is skipped on that day"
    return f"{at} {what} ({zone}): the clocks change. The offset {first:%z} was taken"
