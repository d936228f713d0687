"""From tables to tables: what the cohort, the markers over time and the experiments say.

Pure functions: a study and Polars frames in, frames of declared columns out. Nothing here reads or
writes a file; `analyses.py` runs an analysis on a results folder, and the store writes its tables.
"""
