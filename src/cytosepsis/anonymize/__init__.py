"""Copies of FCS files and studies without what identifies people, verified in bytes."""

from cytosepsis.anonymize.fcs_copy import Rules, anonymize_files
from cytosepsis.anonymize.study_copy import anonymize_study

__all__ = ["Rules", "anonymize_files", "anonymize_study"]
