"""Units: what converts, by which factor, and what is never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosepsis.units import conversion_factor


@pytest.mark.parametrize(
    ("found", "wanted", "factor"),
    [
        ("ng/mL", "µg/L", 1.0),
        ("pg/ml", "ng/L", 1.0),
        ("mg/dL", "g/L", 0.01),
        ("mg/L", "ng/mL", 1000.0),
        ("G/L", "cells/µL", 1000.0),
        ("10^9/L", "cells/mm3", 1000.0),
        ("10*3/uL", "G/L", 1.0),
        ("×10⁹/L", "/µl", 1000.0),
        ("10⁶/L", "cells / mm³", 1.0),
        ("%", "fraction", 0.01),
        ("mmol/L", "µmol/L", 1000.0),
        ("copies/mL", "copies/L", 1000.0),
        ("IU/mL", "kIU/L", 1.0),
        ("h", "min", 60.0),
        ("mmHg", "kPa", 0.133322387415),  # the conventional millimetre of mercury, NIST SP 811
        ("fL", "fL", 1.0),
        ("μg/L", "µg/L", 1.0),  # two code points for micro
        ("points", "points", 1.0),
        (None, None, 1.0),
        ("", None, 1.0),
    ],
)
def test_what_measures_the_same_converts_exactly(found, wanted, factor):
    assert conversion_factor(found, wanted) == factor


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        ("mg/L", "mmol/L"),  # needs the substance
        ("g/L", "G/L"),  # grams and giga
        ("U", "U/L"),
        ("U", "µg/L"),
        (None, "µg/L"),
        ("µg/L", None),
        ("points", "score"),
        ("%", "cells/µL"),
        ("ng/mL", "ng"),
        ("AB/C", "cells/µL"),
        ("ng/kg", "mg/g"),
        ("m/L/L", "/L"),
    ],
)
def test_nothing_is_guessed(found, wanted):
    assert conversion_factor(found, wanted) is None


_UNITS = (
    "ng/mL",
    "µg/L",
    "pg/µL",
    "mg/dL",
    "G/L",
    "10^3/µL",
    "cells/mL",
    "%",
    "fraction",
    "h",
    "U",
)


@given(st.sampled_from(_UNITS), st.sampled_from(_UNITS), st.sampled_from(_UNITS))
def test_conversions_agree_with_each_other(a, b, c):
    there, back = conversion_factor(a, b), conversion_factor(b, a)
    assert (there is None) == (back is None)
    if there is None or back is None:
        return
    assert there * back == pytest.approx(1.0, rel=1e-15)
    on = conversion_factor(b, c)
    if on is not None:
        assert conversion_factor(a, c) == pytest.approx(there * on, rel=1e-14)
