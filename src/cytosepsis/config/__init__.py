"""Studies as labs write them become frozen records, or every reason why they cannot.

`load_study` reads a study or refuses it with every reason; `check_study` lists everything that can
be seen without reading events. A plan's or a matrix's own format is parsed beside its type.
"""

from cytosepsis.config.check import check_study
from cytosepsis.config.load import load_study

__all__ = ["check_study", "load_study"]
