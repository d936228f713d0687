"""The words at the end of a run: what was done, what to look at, where the tables are."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cytosepsis.cli.progress import duration, events_per_second
from cytosepsis.flags import FLAGS

if TYPE_CHECKING:
    from cytosepsis.store import Results

MAX_LINES = 20  # of one list; the tables have all
_WIDTH = 96

# What a person can do about an error whose message does not say it by itself.
_NEXT = {
    "missing": "Put the file in its place, or correct its name in the sample sheet.",
    "unreadable": "Look at the rights of the file, and at the disk or share it lies on.",
    "truncated": "Copy or export the file again; `truncated` of the assay decides about a rest.",
    "not_fcs": "Export the file again from the cytometer's software.",
    "several_data_sets": "Name the one that is meant in the sample sheet's column `dataset`.",
    "channel_missing": "`cytosepsis inspect FILE` lists the channels; name the one that is meant "
    "under the assay's channels in study.toml.",
    "channel_ambiguous": "Name the channel by a name that stands once ($PnN) in study.toml.",
    "gating_plan": "`cytosepsis gate FILE --gating PLAN` tries the plan on this file alone.",
    "out_of_memory": "Run it with fewer workers: `--workers 1`.",
    "timeout": "Look at the file and its place, or allow more with `--file-timeout`.",
    "worker_died": "Report it with logs/run.jsonl.",
    "unforeseen": "This is a fault of cytosepsis: report it with logs/run.jsonl.",
}


def summary(results: Results) -> str:
    """The whole text, for a person who has been at the cytometer all day."""
    return "\n".join(
        [
            *_headline(results),
            *_by_reason(results),
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


def _by_reason(results: Results) -> Iterator[str]:
    """A table: what is done, what is flagged and why, what failed and why."""
    samples = results.table("samples").to_dicts()
    counts = Counter(row["status"] for row in samples)
    reasons: dict[str, Counter[str]] = {"flagged": Counter(), "failed": Counter()}
    for row in samples:
        if row["status"] in reasons:
            reasons[row["status"]].update(_reasons(row))
    rows = [("done", str(counts["ok"]), "")]
    for status, found in reasons.items():
        lines = [f"{n} {code}" for code, n in found.most_common(MAX_LINES)]
        rows.append((status, str(counts[status]), lines[0] if lines else ""))
        rows += [("", "", line) for line in lines[1:]]
    yield ""
    yield f"  {'':9}{'samples':>8}  by reason"
    yield from (f"  {status:9}{n:>8}  {why}".rstrip() for status, n, why in rows)


def _reasons(row: dict[str, Any]) -> list[str]:
    """Why a sample is what it is: its error, else its doubts."""
    if row["error_code"]:
        return [row["error_code"]]
    codes = [code for code in (row["flags"] or "").split(";") if code in FLAGS]
    return [code for code in codes if FLAGS[code].severity == "doubt"]


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
    yield "What to do next"
    for code in dict.fromkeys(row["error_code"] for row in rows):
        if code in _NEXT:
            yield from _item(code, _NEXT[code])
    yield "  Then the same command again: it reads only what has changed or failed."


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
    report = results.folder / "report" / "index.html"
    older = " (the one there is of an earlier run)" if report.exists() else ""
    yield f"Report: cytosepsis report {results.folder}{older}"


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
