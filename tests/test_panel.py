import pytest

from cytosepsis.errors import ChannelError
from cytosepsis.panel import find, is_scatter, is_time, kind_of, resolve, time_column

KINDS = {
    "scatter": {
        "BD": ("FSC-A", "SSC-W", "FSC-Height", "FSC PMT-A", "LightLoss (Blue)-A"),
        "Beckman": (
            "FS INT",
            "SS INT",
            "FS PEAK",
            "SS Lin",
            "FS",
            "SS",
            "FS TOF",
            "VSSC-A",
            "FS-A",
        ),
        "Partec": ("FSC", "SSC", "FSC1"),
        "Miltenyi": ("FSC-A", "BSC-A"),
        "Accuri": ("FSC-H", "SSC-A"),
        "Attune": ("FSC-W", "SSC-H"),
        "Guava": ("FSC-HLin", "SSC-HLog", "FSC-W"),
        "Cytek": ("SSC-B-A", "SSC-B-H", "FSCW", "FSCA", "SSC-A"),
        "Stratedigm": ("FSC LogH", "SSC LinA"),
        "Sony": ("BSC-A", "FSC-H"),
        "EPICS": ("FALS", "RALS"),
    },
    "time": {
        "all": ("Time", "TIME", "time"),
        "CyAn": ("Time MSW", "Time LSW", "Computed Time"),
        "Bio-Rad": ("TIME_LSW", "TIME_MSW"),
        "Miltenyi": ("HDR-T",),
    },
    "other": {
        "Accuri": ("Width",),
        "Miltenyi": ("HDR-CE", "HDR-SE", "HDR-V"),
        "CyTOF": ("Event_length", "Center", "Offset", "Residual", "beadDist", "Cell_length"),
        "CyAn": ("Pulse Width", "Event Count"),
    },
    "fluorescence": {
        "BD": ("PE-A", "PerCP-Cy5-5-A", "FL1-H", "Alexa Fluor 488-A"),
        "Beckman": ("FL1 INT", "FL2 Log", "FL 8 Log"),
        "Miltenyi": ("B1-A", "V2-H"),
        "Attune": ("BL1-A", "YL2-H"),
        "Guava": ("GRN-HLin", "YEL-HLog"),
        "Cytek": ("V1-A", "UV16-A", "YG3-A"),
        "CyTOF": ("Ce140Di", "(In115)Dd", "CD45(In115)Dd"),
        "words that only begin alike": ("SSEA-4", "FSTL1", "Timed", "FSCN1-A", "SSX2", "WIDTH-PE"),
    },
}


NAMES = [
    (kind, name) for kind, makers in KINDS.items() for names in makers.values() for name in names
]


@pytest.mark.parametrize(("kind", "name"), NAMES)
def test_what_makers_call_their_parameters(kind, name):
    assert kind_of(name) == kind
    assert is_scatter(name) == (kind == "scatter")
    assert is_time(name) == (kind == "time")


def test_which_time():
    assert time_column(("FSC-A", "PE-A")) is None
    assert time_column(("FSC-A", "HDR-T")) == 1
    assert time_column(("HDR-T", "FSC-A", "TIME")) == 2
    assert time_column(("Time MSW", "Time")) == 1
    for names in (("TIME_LSW", "TIME_MSW"), ("Time", "TIME")):
        with pytest.raises(ChannelError, match="several times") as caught:
            time_column(names)
        assert caught.value.code == "channel_ambiguous"


def test_a_name_that_stands_twice():
    pnn, pns = ("PE-A", "PE-A", "APC-A"), ("CD14", "CD16", "HLA-DR")
    with pytest.raises(ChannelError, match="'PE-A' stands 2 times") as caught:
        find(("PE-A",), pnn, pns)
    assert caught.value.code == "channel_ambiguous"
    assert find(("CD16", "PE-A"), pnn, pns) == 1  # the stain tells them apart
    assert find(("nothing",), pnn, pns) is None
    assert find(("APC-A",), pnn, pns) == 2


def test_what_is_missing_is_named_with_what_is_there():
    roles = {"cd14": ("PE-A", "CD14"), "cd16": ("APC-A",)}
    assert resolve(roles, ("FSC-A", "PE-A", "APC-A"), ("", "", "")) == {"cd14": 1, "cd16": 2}
    with pytest.raises(ChannelError, match=r"cd14 \(PE-A or CD14\); .*x.*It has: FSC-A \[size\]"):
        resolve(roles, ("FSC-A", "APC-A"), ("size", "APC-A"), wanted=("cd14", "cd16", "x"))
