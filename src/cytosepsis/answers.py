"""What a cell of a sheet says where a yes, a no or a number is meant."""

from __future__ import annotations

import re

YES = ("yes", "oui", "true", "1", "y", "o")
NO = ("no", "non", "false", "0", "n")
NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")


def yes_or_no(text: str) -> bool | None:
    """Yes or no, in English, French or computer, in any case; None of anything else."""
    word = text.casefold()
    return True if word in YES else False if word in NO else None


def number(text: str) -> float | None:
    """A finite number with a decimal point or comma; None of anything else."""
    if not NUMBER.fullmatch(text):
        return None
    value = float(text.replace(",", "."))
    return value if abs(value) < float("inf") else None
