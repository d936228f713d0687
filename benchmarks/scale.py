"""Studies of very many small files: what `check`, a first and a second run cost, per 1,000 files.

`python benchmarks/scale.py 10000` simulates a few hundred samples, copies them under other names
until there are so many, and measures the commands from outside: wall time, and the memory of the
driver (not of its workers) while it reads and at its height.

With `--fill`, only the simulated originals are read. Their copies have the same bytes, so their
outcomes are put into the journal under the copies' names: what 100,000 outcomes cost the driver can
be seen without reading for an hour. The time of a first run is then not measured; the memory of the
driver while it reads is that of a run that is stopped after a while.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cytosepsis.tasks import Work

STOP_SECONDS = 60.0
SIMULATED_PATIENTS = 60


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took."""

    seconds: float
    reading_mb: float  # most memory of the process itself while files were still to be read
    most_mb: float


def make_study(folder: Path, n_samples: int, n_events: int) -> int:
    """Write a study of so many samples; the number of files, bead files included."""
    from cytosepsis.simulate import SimulationSettings, simulate_study

    settings = SimulationSettings(
        patients=SIMULATED_PATIENTS, healthy=10, events=n_events, bead_events=1500
    )
    simulate_study(folder, settings)
    with (folder / "samples.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with (folder / "clinical.csv").open(newline="", encoding="utf-8") as file:
        people = list(csv.DictReader(file))
    more_rows, more_people = list(rows), list(people)
    copy = 0
    while len(more_rows) < n_samples:
        copy += 1
        # One folder of 100,000 files is slow to list on any file system.
        place = f"fcs/copy{copy}"
        (folder / place).mkdir()
        for row in rows[: n_samples - len(more_rows)]:
            target = f"{place}/{Path(row['file']).name}"
            shutil.copyfile(folder / row["file"], folder / target)
            named = {
                "file": target,
                "sample_id": f"{row['sample_id']}-{copy}",
                "patient_id": f"{row['patient_id']}-{copy}",
            }
            named |= {"draw_id": f"{row['draw_id']}-{copy}"} if row.get("draw_id") else {}
            more_rows.append(row | named)
        more_people += [p | {"patient_id": f"{p['patient_id']}-{copy}"} for p in people]
    _write(folder / "samples.csv", more_rows[:n_samples])
    _write(folder / "clinical.csv", more_people)
    with (folder / "beads.csv").open(encoding="utf-8") as file:
        return n_samples + sum(1 for _ in file) - 1


def keep_originals(samples: Path) -> None:
    """Leave only the rows of files that were simulated, not copied."""
    with samples.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "fcs/copy" not in row["file"]]
    _write(samples, rows)


def works(study: Path) -> tuple[Work, ...]:
    """The units of work of a study as it is now."""
    from cytosepsis.config import load_study
    from cytosepsis.tasks import works_of

    return works_of(load_study(study))


def fill(study: Path, read: tuple[Work, ...], originals: Path, out: Path) -> None:
    """Put the outcomes of the originals into a new journal, under the names of all copies."""
    from cytosepsis.config import load_study
    from cytosepsis.file_stamps import stamp_of
    from cytosepsis.journal import Journal
    from cytosepsis.reuse import key_of
    from cytosepsis.store import Store, StudyIdentity

    with Journal(originals / "journal.sqlite", writes=False) as journal:
        known = {(work.kind, work.name): journal.find(key_of(work)) for work in read}
    identity = StudyIdentity(load_study(study).name, str(study.resolve()))
    with Store(out, identity) as store:
        for work in works(study):
            is_copy = (work.kind, work.name) not in known
            name = work.name.rpartition("-")[0] if is_copy else work.name
            entry = known[work.kind, name]
            assert entry is not None
            record = entry.record.replace(json.dumps(name), json.dumps(work.name), 1)
            key, stamp = key_of(work), stamp_of(work.path)
            store.journal.put(replace(entry, key=key, path=work.path, stamp=stamp, record=record))


def measure(arguments: list[str], log: Path, n_files: int, stop: float | None = None) -> Cost:
    """Run a command, or a while of its reading; its time and the memory of its own process."""
    allowed = (0, 1) if stop is None else (0, 1, 143)
    process = subprocess.Popen(
        [sys.executable, "-m", "cytosepsis", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    started, reading, most, until = time.monotonic(), 0.0, 0.0, math.inf
    finished = threading.Event()
    threading.Thread(target=lambda: (process.wait(), finished.set()), daemon=True).start()
    while not finished.wait(0.2):
        resident, height = _memory(process.pid)
        most = max(most, height)
        # The log has a line per file: once all are there, tables are made.
        if log.exists() and log.read_bytes().count(b"\n") < n_files:
            reading = max(reading, resident)
            if stop is not None:
                until = min(until, time.monotonic() + stop)
        if time.monotonic() > until:
            process.terminate()
            stop, until = None, math.inf
    if process.returncode not in allowed:
        sys.exit(f"{arguments[0]} ended with {process.returncode}")
    return Cost(time.monotonic() - started, reading, most)


def _memory(process: int) -> tuple[float, float]:
    """Resident memory of a process now and at its height, in MB (Linux)."""
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    now, height = (int(fields.get(name, "0 kB").split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, height


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("samples", type=int)
    parser.add_argument("--events", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="for the files; default: temporary")
    parser.add_argument("--fill", action="store_true", help="read the originals only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        study, out, originals = (Path(name) / part for part in ("study", "out", "originals"))
        workers = ["--workers", str(options.workers)]
        log = out / "logs" / "run.jsonl"
        n_files = make_study(study, options.samples, options.events)
        check = measure(["check", str(study)], log, 0)
        command = ["run", str(study), "--out", str(out), *workers]
        if options.fill:
            first = measure(command, log, n_files, stop=STOP_SECONDS)
            shutil.rmtree(out)
            whole = (study / "samples.csv").read_bytes()
            keep_originals(study / "samples.csv")
            measure(["run", str(study), "--out", str(originals), *workers], log, 0)
            part = works(study)
            (study / "samples.csv").write_bytes(whole)
            fill(study, part, originals, out)
        else:
            first = measure(command, log, n_files)
        log_mb = log.stat().st_size / 1e6 if log.exists() else 0.0
        second = measure(command, log, 0)
        tables = {path.stem: path.stat().st_size / 1e6 for path in sorted(out.glob("*.parquet"))}
        journal = (out / "journal.sqlite").stat().st_size / 1e6
        run = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert run["n_computed"] == 0, run["reasons"]
    print(f"{n_files} files, {options.samples} samples of {options.events} events")
    per = n_files / 1000
    rows = [("`check`", f"{check.seconds:.0f} s", f"{check.seconds / per:.2f} s")]
    if not options.fill:
        rows += [
            ("first run", f"{first.seconds:.0f} s", f"{first.seconds / per:.1f} s"),
            ("`logs/run.jsonl`", f"{log_mb:.1f} MB", f"{log_mb / per:.2f} MB"),
            ("most memory of the driver, first run", f"{first.most_mb:.0f} MB", ""),
        ]
    rows += [
        ("second run, nothing changed", f"{second.seconds:.0f} s", f"{second.seconds / per:.2f} s"),
        ("journal", f"{journal:.0f} MB", f"{journal / per:.2f} MB"),
        *((f"table `{name}`", f"{size:.1f} MB", "") for name, size in tables.items() if size > 1),
        ("memory of the driver while it reads", f"{first.reading_mb:.0f} MB", ""),
        ("most memory of the driver, second run", f"{second.most_mb:.0f} MB", ""),
        ("most memory of `check`", f"{check.most_mb:.0f} MB", ""),
    ]
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


if __name__ == "__main__":
    main()
