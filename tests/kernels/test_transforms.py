import csv
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive
from cytosepsis import transform_values
from cytosepsis.errors import GatingError
from cytosepsis.gating import carry
from cytosepsis.kernels import transforms as kt
from cytosepsis.transform_values import apply, arrays, inverse
from cytosepsis.transforms import Asinh, Biex, Hyperlog, Linear, Log, Logicle, OffsetLog
from effort import COMPILED, examples
from plan_files import real_file
from random_plans import ANY_TRANSFORM, TRANSFORMS, scale_of, shifted

VALUES = st.one_of(
    st.sampled_from((0.0, -0.0, 1.0, -1.0, 5e-324, 1e-310, 1e-12, 262144.0, 1e300, -1e300)),
    st.floats(-1e6, 1e6),
    st.floats(-1e300, 1e300),
)
SIGNED = sorted(set(TRANSFORMS) - {"log", "offset_log", "biex"})


def at(transform, *values):
    return apply(transform, np.array(values)).tolist()


# --- against the published formulas


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_equals_the_published_formula(kind):
    @examples(60 if kind in ("logicle", "hyperlog", "biex") else 200)
    @given(TRANSFORMS[kind], VALUES)
    def check(transform, value):
        wanted = naive.transform(transform, value)
        (found,) = at(transform, value)
        if math.isfinite(wanted):
            # a biex table is built from exponentials, each right to a few parts in 10¹⁵ of the
            # largest; its rows near zero are known less well
            tolerance = 1e-9 if kind == "biex" else 1e-13
            assert abs(found - wanted) <= tolerance * max(abs(wanted), scale_of(transform))
        else:
            assert found == wanted or (math.isnan(found) and math.isnan(wanted))

    check()


@pytest.mark.parametrize("width", [0.0, 0.25, 0.5, 1.0, 2.25])
@pytest.mark.parametrize("additional", [0.0, 0.5, -0.25])
def test_logicle_in_detail(width, additional):
    if not -width <= additional <= 4.5 - 2 * width:
        pytest.skip("not allowed by the definition")
    transform = Logicle(262144.0, width, 4.5, additional)
    values = [s * 10.0**e for e in range(-6, 7) for s in (1.0, -1.0, 3.3)]
    wanted = [naive.transform(transform, value) for value in values]
    np.testing.assert_allclose(at(transform, *values), wanted, rtol=0, atol=4e-15)


def test_biex_is_flowjos_table():
    name = "tr_biex_l256_w-7.943282_n1.000000_m4.418540_r262144.000029.csv"
    path = real_file(f"FlowKit/flowjo_xforms/{name}")
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))[1:]
    transform = Biex(negative=1.0, width=-7.943282)
    channels, linear = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    # the file has six digits
    np.testing.assert_allclose(inverse(transform, channels), linear, rtol=6e-6, atol=1e-3)
    inner = slice(1, -1)
    np.testing.assert_allclose(apply(transform, linear)[inner], channels[inner], atol=2e-3)


# --- special values


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_nan_stays_nan(kind):
    @examples(25)
    @given(TRANSFORMS[kind])
    def check(transform):
        assert math.isnan(at(transform, math.nan)[0])

    check()


def test_no_transform_changes_nothing():
    values = np.array([1.5, -0.0, math.inf, math.nan, -7.0])
    np.testing.assert_array_equal(apply(None, values), values)
    np.testing.assert_array_equal(inverse(None, values), values)


def test_the_top_is_one_and_minus_a_is_zero():
    assert at(Linear(1000.0, 100.0), 1000.0, -100.0) == [1.0, 0.0]
    assert at(Log(262144.0, 4.5), 262144.0) == [1.0]
    assert at(Asinh(1000.0, 4.0, 1.0), 1000.0) == pytest.approx([1.0], abs=1e-15)
    assert at(Logicle(1000.0, 1.0, 4.0, 0.5), 1000.0) == pytest.approx([1.0], abs=1e-15)
    assert at(Hyperlog(1000.0, 1.0, 4.0, 0.5), 1000.0) == pytest.approx([1.0], abs=1e-15)
    assert at(OffsetLog(10.0, 4.0), 100_000.0) == pytest.approx([1.0], abs=1e-15)


def test_zero_lies_at_its_place():
    for kind in (Logicle, Hyperlog):
        assert at(kind(1000.0, 1.0, 4.0, 0.5), 0.0, -0.0) == pytest.approx(
            [1 / 3, 1 / 3], abs=1e-16
        )
    assert at(Asinh(1000.0, 4.0, 1.0), 0.0) == pytest.approx([0.2], abs=1e-16)


def test_logarithms_below_zero():
    assert math.isnan(at(Log(1000.0, 4.0), -1.0)[0])
    assert at(Log(1000.0, 4.0), 0.0, -0.0) == [-math.inf, -math.inf]
    # the quotient x / T is no double any more, its logarithm is
    assert at(Log(1e300, 1.0), 5e-324) == pytest.approx([-622.306], abs=1e-3)
    assert at(Log(1e-300, 1.0), 1e300) == pytest.approx([601.0], abs=1e-9)
    assert at(OffsetLog(10.0, 4.0), -1e300, 0.0, 10.0, -math.inf) == [0.0] * 4


@pytest.mark.parametrize("kind", ["linear", "asinh", "logicle", "hyperlog"])
def test_infinity_stays_infinity_without_bounds(kind):
    @examples(25)
    @given(TRANSFORMS[kind])
    def check(transform):
        ends = at(transform, -math.inf, math.inf)
        least = -math.inf if transform.bound_min is None else transform.bound_min
        most = math.inf if transform.bound_max is None else transform.bound_max
        assert ends == [least, most]

    check()


def test_bounds_are_part_of_the_transform():
    for kind in (Logicle, Hyperlog):
        bounded = kind(1000.0, 1.0, 4.0, 0.0, 0.2, 0.9)
        free = kind(1000.0, 1.0, 4.0, 0.0)
        assert at(bounded, -1e4, 1e4) == [0.2, 0.9]
        assert at(bounded, 10.0) == at(free, 10.0)
    assert at(Log(1000.0, 4.0, 0.0, 1.0), 0.0, 1e9) == [0.0, 1.0]
    assert math.isnan(at(Log(1000.0, 4.0, 0.0, 1.0), -1.0)[0])
    assert at(Biex(bound_min=100.0, bound_max=4000.0), -1e9, 1e9) == [100.0, 4000.0]


# --- laws


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_inverse_undoes(kind):
    @examples(150)
    @given(TRANSFORMS[kind], st.floats(-0.2, 1.1))
    def check(transform, place):
        if kind in ("biex", "offset_log"):  # flat beyond their ends
            place = min(max(place, 0.0), 1.0)
        place *= scale_of(transform)
        free = type(transform)(
            *(getattr(transform, name) for name in transform.__slots__ if "bound" not in name)
        )
        linear = inverse(free, np.array([place]))
        assert apply(free, linear)[0] == pytest.approx(place, abs=1e-12 * scale_of(transform))

    check()


@pytest.mark.parametrize("kind", SIGNED)
def test_inverse_is_undone(kind):
    @examples(150)
    @given(TRANSFORMS[kind], st.floats(-1e5, 1e6))
    def check(transform, value):
        free = type(transform)(
            *(getattr(transform, name) for name in transform.__slots__ if "bound" not in name)
        )
        back = inverse(free, apply(free, np.array([value])))[0]
        # a rounding error at place y is worth the slope there: at most M ln 10 of the value
        assert back == pytest.approx(value, rel=1e-10, abs=1e-9 * getattr(free, "top", 1.0))

    check()


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_increases(kind):
    @examples(150)
    @given(TRANSFORMS[kind], VALUES, VALUES)
    def check(transform, first, second):
        low, high = sorted((first, second))
        low, high = at(transform, low, high)
        if not (math.isnan(low) or math.isnan(high)):
            assert low <= high or low - high <= 1e-13 * max(scale_of(transform), abs(high))

    check()


@pytest.mark.parametrize("kind", ["logicle", "hyperlog"])
def test_mirrored_at_its_zero(kind):
    @examples(100)
    @given(TRANSFORMS[kind], st.floats(0, 1e7))
    def check(transform, value):
        free = type(transform)(
            transform.top, transform.width, transform.decades, transform.additional
        )
        zero, up, down = at(free, 0.0, value, -value)
        assert up - zero == pytest.approx(zero - down, abs=4e-16 * max(abs(up), abs(zero), 1))

    check()


def test_shape_is_kept_and_input_untouched():
    values = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    before = values.copy()
    out = apply(Linear(10.0), values)
    np.testing.assert_array_equal(out, before / 10.0)
    np.testing.assert_array_equal(inverse(Linear(10.0), out), before)
    np.testing.assert_array_equal(values, before)
    assert apply(Linear(10.0), np.empty((0, 3))).shape == (0, 3)


# --- parameters


@pytest.mark.parametrize(
    ("transform", "fault"),
    [
        (Linear(0.0, 1.0), "T is 0, must be > 0"),
        (Linear(10.0, -10.0), "A is -10, must be > -T"),
        (Log(-1.0, 4.0), "T is -1, must be > 0"),
        (Log(1.0, 0.0), "M is 0, must be > 0"),
        (Asinh(0.0, 4.0), "T is 0, must be > 0"),
        (Asinh(1.0, 0.0), "M is 0, must be > 0"),
        (Asinh(1.0, 4.0, 5.0), "A is 5, must be 0 to M"),
        (Logicle(0.0, 0.5, 4.5), "T is 0, must be > 0"),
        (Logicle(1.0, 0.0, 0.0), "M is 0, must be > 0"),
        (Logicle(1.0, 2.3, 4.5), "W is 2.3, must be at most M / 2"),
        (Logicle(1.0, -0.1, 4.5), "W is -0.1, must be >= 0"),
        (Logicle(1.0, 0.5, 4.5, -0.6), "A is -0.6, must be -W to M - 2 W"),
        (Logicle(1.0, 0.5, 4.5, 3.6), "A is 3.6, must be -W to M - 2 W"),
        (Hyperlog(1.0, 0.0, 4.5), "W is 0, must be > 0"),
        (OffsetLog(0.0, 1.0), "offset is 0, must be > 0"),
        (OffsetLog(1.0, 0.0), "decades is 0, must be > 0"),
        (Biex(width=-0.5), "width is -0.5, must be at most -1"),
        (Biex(width=-100.0, positive=1.0), "pos is 1, must be > log10(-width) / 2"),
        (Biex(negative=-1.0), "neg is -1, must be >= 0"),
        (Biex(max_range=0.0), "maxRange is 0, must be > 0"),
        (Biex(length=1), "length is 1, must be a whole number"),
        (Biex(length=1 << 21), "length is 2.09715e+06, must be a whole number"),
        (Logicle(math.inf, 0.5, 4.5), "top must be finite"),
        (Log(1.0, math.nan), "decades must be finite"),
        (Linear(1.0, 0.0, math.nan), "bound_min must be finite"),
        (Linear(1.0, 0.0, 1.0, 1.0), "boundMin 1 must be less than boundMax 1"),
    ],
)
def test_parameters_outside_the_definition_are_refused(transform, fault):
    with pytest.raises(GatingError) as caught:
        transform_values.lower(transform)
    assert fault in str(caught.value)


# --- bounds carried back to the linear axis


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_what_the_band_is_sure_of_is_so(kind):
    """In doubt the transform decides; where the band decides, it must decide the same."""

    @examples(80)
    @given(TRANSFORMS[kind], st.data())
    def check(transform, data):
        scale = scale_of(transform)
        limits = st.none() | st.sampled_from([k / 8 * scale for k in range(-2, 11)])
        limits |= st.floats(-0.5, 1.5).map(lambda share: share * scale)
        limits |= st.sampled_from((-100.0 * scale, 100.0 * scale))
        low, high = data.draw(limits), data.draw(limits)
        band = carry.carried_band(transform, low, high)
        values = sorted(set(probes(band)), key=lambda value: (math.isnan(value), value))
        assert_sure(transform, low, high, band, values)

    check()


def probes(band):
    """Doubles up to 200 places around the ends of a band, and all over."""
    for end in band:
        if not math.isnan(end):
            yield -end
            for places in (0, 1, 2, 5, 20, 63, 64, 65, 66, 130, 200, 10**6, 10**12):
                yield from (shifted(end, places), shifted(end, -places))
    yield from (0.0, -0.0, 5e-324, -5e-324, 1.0, -1.0, 1e-3, 262144.0, 1e300, -1e300)
    yield from (1.7976931348623157e308, -1.7976931348623157e308, math.inf, -math.inf, math.nan)


def assert_sure(transform, low, high, band, values):
    kind, numbers, table = arrays(transform)
    in_low, in_high, out_low, out_high = band
    for value in values:
        wanted = naive.in_interval(low, high, kt.transform_value(kind, numbers, table, value))
        surely_in = value >= in_low and not value >= in_high
        surely_out = not (value >= out_low and not value >= out_high)
        assert not (surely_in and surely_out)
        if surely_in:
            assert wanted, (value, "is out, the band says in")
        if surely_out:
            assert not wanted, (value, "is in, the band says out")


@pytest.mark.parametrize(
    "transform",
    [Logicle(262144.0, 0.5, 4.5), Logicle(262144.0, 0.0, 4.5), Hyperlog(262144.0, 0.5, 4.5)],
)
def test_bounds_where_neighbouring_doubles_are_out_of_order(transform):
    """Computed roots fall between neighbours here and there; there the band must not decide."""
    random = np.random.default_rng(3)
    disorder = 0
    for x in random.lognormal(5, 4, 400 if COMPILED else 60) * random.choice((-1.0, 1.0)):
        values = np.array([shifted(x, places) for places in range(-300, 301)])
        found = apply(transform, values)
        falls = np.flatnonzero(np.diff(found) < 0)
        disorder += len(falls)
        for bound in np.unique(found[falls])[:3].tolist():
            in_low, _, out_low, _ = carry.carried_band(transform, bound, None)
            assert (found[values >= in_low] >= bound).all()
            assert (found[values < out_low] < bound).all()
            _, in_high, _, out_high = carry.carried_band(transform, None, bound)
            assert (found[values < in_high] < bound).all()
            assert (found[values >= out_high] >= bound).all()
    assert disorder > 0


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_many_values_are_transformed_as_one(kind):
    """To the last bit: gates ask for one value where bands are in doubt, for many elsewhere."""

    @examples(60)
    @given(TRANSFORMS[kind], st.lists(VALUES | st.sampled_from((math.nan, math.inf)), max_size=9))
    def check(transform, values):
        one_by_one = [kt.transform_value(*arrays(transform), value) for value in values]
        np.testing.assert_array_equal(at(transform, *values), one_by_one)

    check()


@pytest.mark.parametrize("kind", sorted(TRANSFORMS))
def test_rough_values_are_as_near_as_they_say(kind):
    """Of a logicle a small part of its scale; of the others to the last bit."""

    @examples(100)
    @given(TRANSFORMS[kind], st.lists(VALUES | st.sampled_from((math.nan, math.inf)), max_size=30))
    def check(transform, values):
        found = np.empty(len(values))
        slack = kt.guess_many(*arrays(transform), np.array(values, dtype=np.float64), found)
        exact = np.array(at(transform, *values))
        if kind == "logicle":
            assert 0 < slack < 1e-4
            known = np.isfinite(exact)
            assert (abs(found[known] - exact[known]) <= slack).all()
            np.testing.assert_array_equal(found[~known], exact[~known])
        else:
            assert slack == 0.0
            np.testing.assert_array_equal(found, exact)

    check()


def test_roots_lie_above_the_table_by_no_more_than_its_gap():
    """Everywhere in a cell, not only midway, where the gap is measured."""
    for width, decades, additional in ((0.5, 4.5, 0.0), (0.0, 4.0, 0.0), (1.0, 4.5, 0.5)):
        kind, numbers, table = arrays(Logicle(262144.0, width, decades, additional))
        cells = np.concatenate([np.arange(0, kt.N_CELLS - 1, 37), [kt.N_CELLS - 2]])
        octave, part = cells >> kt.KEPT_BITS, cells & ((1 << kt.KEPT_BITS) - 1)
        for share in (0.1, 0.4, 0.5, 0.6, 0.9):
            values = (1.0 + (part + share) / (1 << kt.KEPT_BITS)) * 2.0 ** (octave - 6.0)
            rough, exact = np.empty(len(values)), np.empty(len(values))
            slack = kt.guess_many(kind, numbers, table, values, rough)
            kt.transform_many(kind, numbers, table, values, exact)
            assert (exact - rough >= -1e-14).all()
            assert (exact - rough <= slack / 2 + 1e-12).all()


@examples(60)
@given(ANY_TRANSFORM, st.floats(0.1, 0.9), st.floats(0.1, 0.9))
def test_the_band_is_narrow(transform, one, other):
    """Being sure of nothing would be right too, and slow: doubt is kept to a sliver."""
    low, high = sorted((one * scale_of(transform), other * scale_of(transform)))
    in_low, in_high, out_low, out_high = carry.carried_band(transform, low, high)
    if transform.bound_min is not None or transform.bound_max is not None:
        return
    ends = inverse(transform, np.array([low, high]))
    reach = 1e-9 * max(1.0, abs(ends).max())
    assert in_low - out_low <= reach
    assert out_high - in_high <= reach


def test_bands_without_a_transform():
    assert carry.linear_band(1.0, 2.0) == (1.0, 2.0, 1.0, 2.0)
    low, high, *_ = carry.open_band()
    assert low == -math.inf
    assert math.isnan(high)
