"""The documentation of the analyses' tables, printed from the same source that the code runs on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cytosepsis.analysis.registry import ANALYSES, Analysis
from cytosepsis.tables.describe import table_section

_HEAD = """\
# Tables of the analyses

An analysis is a command on a results folder: it reads tables of the run ([tables.md](tables.md))
and of other analyses, and writes its own beside them, as Parquet and CSV. Absent values are null
(empty in CSV). An analysis whose tables another one reads is computed again first, so what stands
in the folder belongs together. `analysis.json` says of each what it was computed from; a later
`run` whose tables or study differ removes what no longer holds, and says so.
"""


def analyses_markdown(analyses: Mapping[str, Analysis] = ANALYSES) -> str:
    """The text of `docs/analysis-tables.md`."""
    return "\n".join([_HEAD, *(section for a in analyses.values() for section in _sections(a))])


def _sections(analysis: Analysis) -> Iterator[str]:
    reads = ", ".join(f"`{name}`" for name in analysis.reads) or "no table"
    yield f"# `cytosepsis {analysis.name}`\n\n{analysis.purpose} Reads {reads}.\n"
    yield from (table_section(table) for table in analysis.tables)
    if analysis.codes:
        rows = "".join(f"| `{code}` | {meaning} |\n" for code, meaning in analysis.codes.items())
        yield f"## Codes of `{analysis.name}`\n\n| code | meaning |\n|---|---|\n{rows}"
