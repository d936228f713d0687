"""cytosepsis: monocyte HLA-DR and its companions, from FCS files to patient and timepoint."""

__version__ = "0.1.0"
