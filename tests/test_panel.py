import pytest

from cytosepsis.errors import ChannelError
from cytosepsis.panel import find, is_scatter, is_time, resolve

PNN = ("FSC-A", "PE-A", "FITC-A", "Time")
PNS = ("", "HLA-DR", "CD14", "")


def test_roles_are_found_as_pnn_then_as_pns_first_accepted_name_first():
    roles = {"hladr": ("HLA-DR",), "cd14": ("APC-A", "CD14", "PE-A"), "fsc": ("FSC-A",)}
    assert resolve(roles, PNN, PNS) == {"hladr": 1, "cd14": 2, "fsc": 0}
    assert find(("X", "Y"), PNN, PNS) is None
    # a name that is one parameter's $PnN and another's $PnS: the $PnN counts
    assert find(("PE-A",), PNN, ("", "", "PE-A", "")) == 1


def test_only_what_is_wanted_is_looked_up():
    roles = {"cd14": ("CD14",), "absent": ("QDot",)}
    assert resolve(roles, PNN, PNS, wanted=["cd14", "HLA-DR", "Time"]) == {
        "cd14": 2,
        "HLA-DR": 1,
        "Time": 3,
    }


def test_all_that_is_missing_and_all_that_is_there_is_named():
    roles = {"a": ("X", "Y"), "b": ("CD14",), "Q": ("Q",)}
    with pytest.raises(ChannelError) as caught:
        resolve(roles, PNN, PNS)
    assert caught.value.code == "channel_missing"
    assert str(caught.value) == (
        "the file has no channel for a (X or Y); Q. "
        "It has: FSC-A, PE-A [HLA-DR], FITC-A [CD14], Time"
    )


def test_a_name_that_stands_twice_is_not_guessed():
    with pytest.raises(ChannelError, match="'PE-A' stands 2 times") as caught:
        resolve({"hladr": ("PE-A",)}, ("PE-A", "PE-A"), ("", ""))
    assert caught.value.code == "channel_ambiguous"
    with pytest.raises(ChannelError, match="'CD4' stands 2 times"):
        find(("CD4",), ("A", "B"), ("CD4", "CD4"))
    # an earlier name that is unique decides; empty $PnS are no name
    assert find(("A", "CD4"), ("A", "B"), ("CD4", "CD4")) == 0


def test_names_are_exact():
    for near in ("pe-a", "PE-A ", "PE"):
        assert find((near,), PNN, PNS) is None


@pytest.mark.parametrize(
    "name",
    ["FSC-A", "fsc-h", "SSC", "SSC-W", "FS INT", "SS LOG", "FS", "SS", "FS-A", "SS_H", "BSC-A"],
)
def test_scatter(name):
    assert is_scatter(name)


@pytest.mark.parametrize("name", ["PE-A", "FITC-A", "CD14", "Time", "FL1-A", "SSEA-4", "FS1"])
def test_what_is_no_scatter(name):
    assert not is_scatter(name)


@pytest.mark.parametrize("name", ["Time", "TIME", "HDR-T", "TIME_LSW", "time_msw"])
def test_time(name):
    assert is_time(name)
    assert not is_time("PE-A")
    assert not is_time("Timer-A")
