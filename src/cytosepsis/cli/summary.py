"""The words at the end of a run: what was done, what to look at, where the tables are."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cytosepsis.cli.progress import duration, events_per_second
from cytosepsis.flags import FLAGS

if TYPE_CHECKING:
    from cytosepsis.store import Results

MAX_LINES = 20  # of one list; the tables have all
_WIDTH = 96


def summary(results: Results) -> str:
    """The whole text, for a person who has been at the cytometer all day."""
    return "\n".join(
        [
            *_headline(results),
            *_failed_files(results),
            *_bead_runs(results),
            *_flags(results),
            *_removed(results),
            *_whereabouts(results),
        ]
    )


def _headline(results: Results) -> Iterator[str]:
    run = results.run
    counts = Counter(results.table("samples")["status"].to_list())
    pace = ""
    if run.n_computed and not run.n_reused:
        pace = f", {events_per_second(run.n_events, run.wall_seconds - run.compile_seconds)}"
    again = f" ({run.n_reused} unchanged since an earlier run)" if run.n_reused else ""
    yield f"{run.study}: {run.n_samples} samples in {duration(run.wall_seconds)}{pace}{again}"
    ok, flagged, failed = (counts[status] for status in ("ok", "flagged", "failed"))
    yield f"  {ok} ok, {flagged} flagged, {failed} failed"


def _failed_files(results: Results) -> Iterator[str]:
    samples = results.table("samples")
    rows = [row for row in samples.iter_rows(named=True) if row["error_code"] is not None]
    if not rows:
        return
    yield ""
    yield "Failed: nothing could be computed from these files"
    for row in rows[:MAX_LINES]:
        yield from _item(row["sample_id"], f"{row['file']}: {row['error']} [{row['error_code']}]")
    yield from _rest(len(rows), "samples.csv")


def _bead_runs(results: Results) -> Iterator[str]:
    runs = results.table("calibrations")
    rows = [row for row in runs.iter_rows(named=True) if row["status"] != "ok"]
    if not rows:
        return
    yield ""
    yield "Bead runs to look at: AB/C that rest on them are doubtful or absent"
    for row in rows[:MAX_LINES]:
        why = row.get("error") or "; ".join(_meanings(row["flags"])) or "no line"
        yield from _item(row["bead_run"], f"{row['status']}: {why}")
    yield from _rest(len(rows), "calibrations.csv")


def _flags(results: Results) -> Iterator[str]:
    cells = results.table("samples")["flags"].to_list()
    counts = Counter(code for cell in cells for code in (cell or "").split(";") if code)
    if not counts:
        return
    yield ""
    yield "Flags on samples (a doubt makes a sample flagged, a note does not)"
    for severity in ("doubt", "note"):
        for code, flag in FLAGS.items():
            if code in counts and flag.severity == severity:
                n = counts[code]
                many = "1 sample" if n == 1 else f"{n} samples"
                yield from _item(f"{severity} {code}", f"{many}. {flag.meaning}")


def _removed(results: Results) -> Iterator[str]:
    names = results.run.removed_analyses
    if names:
        yield ""
        yield f"Removed, because what they were computed from has changed: {', '.join(names)}"
        yield from (f"  Again: cytosepsis {name} {results.folder}" for name in names)


def _whereabouts(results: Results) -> Iterator[str]:
    yield ""
    yield f"Tables: {results.folder}"
    yield "  patients.csv: each patient over time; abc.csv: each sample; samples.csv: every flag"


def _meanings(flags: str | None) -> list[str]:
    return [FLAGS[code].meaning for code in (flags or "").split(";") if code in FLAGS]


def _item(name: str, text: str) -> Iterator[str]:
    first = f"  {name}: "
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent="      ", break_long_words=False
    ) or [first]


def _rest(n: int, table: str) -> Iterator[str]:
    if n > MAX_LINES:
        yield f"  … and {n - MAX_LINES} more: see {table}"
