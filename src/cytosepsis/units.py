"""Units of values from elsewhere: what converts into what, exactly, and what does not.

A small table of what laboratories of this field write, not a library: a unit that is not in it is
never guessed, and converts only into itself. Amounts (mol) and masses do not convert into each
other: that would need the substance.
"""

from __future__ import annotations

import re
from fractions import Fraction

_PREFIXES = {
    "": Fraction(1),
    "k": Fraction(1000),
    "d": Fraction(1, 10),
    "c": Fraction(1, 100),
    "m": Fraction(1, 1000),
    "µ": Fraction(1, 10**6),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
    "p": Fraction(1, 10**12),
    "f": Fraction(1, 10**15),
}
# Volumes, in litres: what concentrations are per.
_VOLUMES = {f"{p}L": f for p, f in _PREFIXES.items() if p != "k"} | {
    "mm3": Fraction(1, 10**6),
    "cm3": Fraction(1, 1000),
}
# Numerators of concentrations: kind and size in its base unit.
_NUMERATORS: dict[str, tuple[str, Fraction]] = {
    **{f"{p}g": ("mass", f) for p, f in _PREFIXES.items()},
    **{f"{p}mol": ("amount", f) for p, f in _PREFIXES.items() if p not in "kdc"},
    **{f"{p}IU": ("activity", f) for p, f in _PREFIXES.items() if p in ("", "k", "m", "µ", "u")},
    **{name: ("cells", Fraction(1)) for name in ("", "1", "cell", "cells", "copies", "#")},
}
# Units that are no concentrations. A plain "U" is left out: it means too many things.
_OTHERS: dict[str, tuple[str, Fraction]] = {
    "fraction": ("fraction", Fraction(1)),
    "%": ("fraction", Fraction(1, 100)),
    "percent": ("fraction", Fraction(1, 100)),
    "‰": ("fraction", Fraction(1, 1000)),
    "G/L": ("cells per litre", Fraction(10**9)),  # the French blood count: giga per litre
    "T/L": ("cells per litre", Fraction(10**12)),
    "s": ("time", Fraction(1)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "d": ("time", Fraction(86400)),
    "day": ("time", Fraction(86400)),
    "days": ("time", Fraction(86400)),
    "Pa": ("pressure", Fraction(1)),
    "kPa": ("pressure", Fraction(1000)),
    "mmHg": ("pressure", Fraction(133322387415, 10**9)),
    "mm[Hg]": ("pressure", Fraction(133322387415, 10**9)),
    **{name: ("volume", size) for name, size in _VOLUMES.items()},
    **{f"{p}g": ("mass", f) for p, f in _PREFIXES.items()},
}
_POWER = re.compile(r"(?:10\*\*|10\^|10\*|10e|×10\^|x10\^|×10|x10|10)(\d{1,2})(.*)")
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def conversion_factor(found: str | None, wanted: str | None) -> float | None:
    """What a value in `found` is multiplied by to be in `wanted`; None where nothing says so.

    Equal texts convert by 1, whatever they mean, as do two absent units. A unit that is absent on
    one side only, that the table does not have, or that measures something else, gives None.
    """
    if _plain(found) == _plain(wanted):
        return 1.0
    sizes = _size(_plain(found)), _size(_plain(wanted))
    if sizes[0] is None or sizes[1] is None or sizes[0][0] != sizes[1][0]:
        return None
    return float(sizes[0][1] / sizes[1][1])


def _plain(unit: str | None) -> str:
    """One spelling of a unit: no blanks, one sign of micro, powers in plain digits."""
    text = "".join((unit or "").split()).translate(_SUPERSCRIPTS)
    return text.replace("μ", "µ").replace("²", "2").replace("³", "3")


def _size(unit: str) -> tuple[str, Fraction] | None:
    """What a unit measures, and how much of its base unit it is; None of one that is not known."""
    unit = re.sub(r"(?<![A-Za-z])([munpfdc\u00b5]?)l$", r"\1L", unit)  # ng/ml, /µl
    if unit in _OTHERS:
        return _OTHERS[unit]
    above, slash, below = unit.partition("/")
    if not slash or below not in _VOLUMES:
        return None
    factor = Fraction(1)
    power = _POWER.fullmatch(above)
    if power:
        factor, above = Fraction(10 ** int(power[1])), power[2]
    if above not in _NUMERATORS:
        return None
    kind, size = _NUMERATORS[above]
    return f"{kind} per litre", factor * size / _VOLUMES[below]
