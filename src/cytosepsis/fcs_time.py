"""When a file was acquired: $DATE with $BTIM, or $BEGINDATETIME (FCS 3.2), in the forms in use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

_DATES = ("%d-%b-%Y", "%d-%b-%y", "%Y-%b-%d", "%Y-%m-%d", "%Y/%m/%d", "%d-%B-%Y", "%Y%m%d")
_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})(?:([.:])(\d{1,9}))?$")


def acquisition_time(keywords: Mapping[str, str]) -> datetime | None:
    """Begin of the acquisition, naive as the instrument wrote it; None in unknown forms.

    `dd/mm` against `mm/dd` cannot be told apart, so such dates are not read. A date without a
    time is not taken for midnight: the beads of a day must not look older than its samples.
    """
    begin = keywords.get("$BEGINDATETIME", "").strip()
    if begin:
        try:
            return datetime.fromisoformat(begin)
        except ValueError:
            return None
    day = _date(keywords.get("$DATE", "").strip())
    clock = _clock(keywords.get("$BTIM", "").strip())
    return day + clock if day is not None and clock is not None else None


def _date(text: str) -> datetime | None:
    for form in _DATES:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    return None


def _clock(text: str) -> timedelta | None:
    """hh:mm:ss with sixtieths (`:tt`, FCS 3.0) or hundredths (`.cc`, FCS 3.1) of a second."""
    match = _TIME.match(text)
    if match is None:
        return None
    hours, minutes, seconds = (int(match[k]) for k in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    rest = 0.0
    if match[4] == ".":
        rest = float(f"0.{match[5]}")
    elif match[4] == ":":
        rest = min(int(match[5]), 59) / 60
    return timedelta(hours=hours, minutes=minutes, seconds=seconds + rest)
