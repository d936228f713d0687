"""A first study from a folder of FCS files: what is there, what is guessed, what is to fill in."""

from cytosepsis.first_study.draft import Draft, InitOptions, draft_study
from cytosepsis.first_study.write import FILL_IN, write_first_study

__all__ = ["FILL_IN", "Draft", "InitOptions", "draft_study", "write_first_study"]
