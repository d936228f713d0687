"""The fault campaign: runs that are killed, starved and lied to, compared with an undisturbed one.

`python benchmarks/faults.py` runs everything and writes the figures between the marks of
docs/reliability.md; `tests/test_faults.py` runs a small part of the same. Needs POSIX; the full
disk needs the right to mount a small tmpfs and is skipped, with the reason, without it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARK = "<!-- measured: faults -->"


@dataclass(frozen=True, slots=True)
class Tally:
    """What a kind of fault did and cost."""

    fault: str
    n_faults: int
    n_commands: int
    n_twice: int  # settled outcomes that lay in the journal and were computed again
    n_left: int  # temporary files left
    equal: bool
    note: str = ""


@dataclass(slots=True)
class Campaign:
    """A study, its undisturbed tables, and a place to spoil."""

    folder: Path
    workers: int
    seed: int
    random: random.Random = field(init=False)
    undisturbed_seconds: float = 0.0
    n_files: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - repeatable, no secret

    @property
    def study(self) -> Path:
        """The study's folder."""
        return self.folder / "study"

    def prepare(self, patients: int, events: int) -> None:
        """Simulate the study and run it undisturbed."""
        from cytosepsis.kernel_cache import is_compiled
        from cytosepsis.simulate import SimulationSettings, simulate_study

        settings = SimulationSettings(
            patients=patients, healthy=5, events=events, bead_events=1500, seed=self.seed
        )
        simulate_study(self.study, settings)
        self.n_files = len(list((self.study / "fcs").glob("*.fcs")))
        # The first run of a machine compiles: the next tells how long a run takes.
        if not is_compiled():
            assert self.finish(self.folder / "first") in (0, 1)
        started = time.monotonic()
        assert self.finish(self.folder / "whole") in (0, 1)
        self.undisturbed_seconds = time.monotonic() - started

    def start(self, out: Path, study: Path | None = None) -> subprocess.Popen[bytes]:
        """Start `cytosepsis run` as a process of its own."""
        command = [sys.executable, "-m", "cytosepsis", "run", str(study or self.study)]
        options = ["--out", str(out), "--workers", str(self.workers)]
        return subprocess.Popen(
            [*command, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def finish(self, out: Path, study: Path | None = None) -> int:
        """Run to the end; the exit status."""
        return self.start(out, study).wait()

    def wait(self, process: subprocess.Popen[bytes], out: Path, logged: int) -> None:
        """Wait for a random moment: of the whole run, or after a few more files are committed.

        Times alone would fall behind the end of a run that has little left to do.
        """
        if self.random.random() < 0.3:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.random.uniform(0.3, self.undisturbed_seconds))
            return
        more = self.random.randint(0, 1 + self.n_files // 8)
        while process.poll() is None and len(computed(out, logged)) < more:
            time.sleep(0.02)
        time.sleep(self.random.uniform(0, 0.3))

    def compare(self, fault: str, out: Path, n: int, commands: int, note: str = "") -> Tally:
        """Set a folder that was spoiled and resumed beside the undisturbed one."""
        return Tally(
            fault,
            n,
            commands,
            0,
            len(list(out.glob(".writing-*")) + list(out.glob("*-journal"))),
            tables_of(out) == tables_of(self.folder / "whole"),
            note,
        )

    # -------------------------------------------------------------------------- the faults

    def kill_runs(self, n: int) -> Tally:
        """SIGKILL the whole run at random moments; begin anew where a round came to its end."""
        killed, commands, twice, tally = 0, 0, 0, None
        while killed < n:
            out = self.folder / f"killed{killed}"
            while killed < n:
                before, logged = committed(out), log_size(out)
                process = self.start(out)
                commands += 1
                self.wait(process, out, logged)
                if process.poll() is not None:
                    break
                process.kill()
                process.wait()
                killed += 1
                twice += len(before & computed(out, logged))
                damage(out)
            before, logged = committed(out), log_size(out)
            commands += 1
            self.finish(out)
            twice += len(before & computed(out, logged))
            tally = worst(tally, self.compare("run killed (SIGKILL)", out, killed, commands))
            shutil.rmtree(out)
        assert tally is not None
        return replace(tally, n_twice=twice)

    def stop_runs(self, n: int) -> Tally:
        """Ctrl-C and SIGTERM at random moments: the run itself leaves nothing behind."""
        stopped, commands, left, twice, tally = 0, 0, 0, 0, None
        while stopped < n:
            out = self.folder / f"stopped{stopped}"
            while stopped < n:
                before, logged = committed(out), log_size(out)
                process = self.start(out)
                commands += 1
                self.wait(process, out, logged)
                if process.poll() is not None:
                    break
                sent = signal.SIGINT if stopped % 2 else signal.SIGTERM
                process.send_signal(sent)
                status = process.wait(60)
                # Before the command has set itself up, the signal ends Python in its own way.
                assert status in (0, 1, 128 + sent, -sent), status
                stopped += 1
                left += len(list(out.glob(".writing-*")) + list(out.glob(".lock")))
                twice += len(before & computed(out, logged))
            commands += 1
            self.finish(out)
            fault = "run stopped (SIGTERM, Ctrl-C)"
            tally = worst(tally, self.compare(fault, out, stopped, commands))
            shutil.rmtree(out)
        assert tally is not None
        return replace(tally, n_twice=twice, n_left=tally.n_left + left)

    def kill_workers(self, n: int) -> Tally:
        """SIGKILL single workers while they compute."""
        killed, commands, twice, tally = 0, 0, 0, None
        while killed < n:
            out = self.folder / f"workers{killed}"
            process = self.start(out)
            commands += 1
            while process.poll() is None and killed < n:
                time.sleep(self.random.uniform(0.05, 0.4))
                victims = children(process.pid)
                if victims and (out / "logs" / "run.jsonl").exists():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.random.choice(victims), signal.SIGKILL)
                        killed += 1
            process.wait()
            # A file may have been the victim twice: its row says worker_died, and the next run
            # tries it again.
            before, logged = committed(out), log_size(out)
            self.finish(out)
            commands += 1
            twice += len(before & computed(out, logged))
            tally = worst(tally, self.compare("worker killed", out, killed, commands))
            shutil.rmtree(out)
        assert tally is not None
        return replace(tally, n_twice=twice)

    def fill_disk(self, n: int) -> Tally:
        """Let the disk be full at random moments, then make room and resume."""
        fault = "disk full"
        refused, commands, twice, rounds, tally = 0, 0, 0, 0, None
        whole = sum(path.stat().st_size for path in (self.folder / "whole").rglob("*"))
        while refused < n:
            # Tables are written beside the old ones, and SQLite keeps what it changes.
            with small_disk(self.folder / f"disk{rounds}", 3 * whole + (4 << 20)) as disk:
                if disk is None:
                    return Tally(fault, 0, 0, 0, 0, True, "skipped: no tmpfs may be mounted here")
                out, ballast = disk / "out", disk / "ballast"
                for _ in range(3):
                    free = shutil.disk_usage(disk).free
                    room = int(10 ** self.random.uniform(3.6, 5.8))
                    ballast.write_bytes(b"\0" * max(0, free - room))
                    before, logged = committed(out), log_size(out)
                    status = self.finish(out)
                    commands += 1
                    twice += len(before & computed(out, logged))
                    refused += status in (2, 3)
                    ballast.unlink()
                self.finish(out)
                commands += 1
                tally = worst(tally, self.compare(fault, out, refused, commands))
            rounds += 1
            assert rounds < 10 * n, "the disk never was too small"
        assert tally is not None
        return replace(tally, n_twice=twice)

    def change_files(self, n: int) -> Tally:
        """Files vanish and change while a run reads them; afterwards they are as they were."""
        study, out = self.folder / "changing", self.folder / "changing_out"
        shutil.copytree(self.study, study)
        files = sorted((study / "fcs").glob("*.fcs"))
        done = 0
        process = self.start(out, study)
        kept: dict[Path, bytes] = {}
        while done < n:
            file = self.random.choice([file for file in files if file not in kept])
            kept[file] = file.read_bytes()
            if self.random.random() < 0.5:
                file.unlink()
            else:
                file.write_bytes(kept[file][: len(kept[file]) // 2])
            done += 1
            time.sleep(self.undisturbed_seconds / (2 * n))
        process.wait()
        for file, content in kept.items():
            file.write_bytes(content)
        self.finish(out, study)
        return self.compare("file vanished or changed", out, done, 2)


def damage(out: Path) -> None:
    """Play the part of a kill in the middle of writing a table."""
    if out.is_dir():
        (out / ".writing-samples.csv").write_text("half a ta")


def tables_of(out: Path) -> dict[str, bytes]:
    """Every table, as bytes."""
    return {
        path.name: path.read_bytes()
        for path in sorted(out.iterdir())
        if path.suffix in {".csv", ".parquet"}
    }


def committed(out: Path) -> set[str]:
    """Names of the settled outcomes that lie in the journal, read from a copy of it."""
    journal = out / "journal.sqlite"
    if not journal.exists():
        return set()
    with tempfile.TemporaryDirectory() as folder:
        for path in out.glob("journal.sqlite*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(Path(folder) / "journal.sqlite")) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'outcomes'").fetchone():
                return set()
            rows = db.execute("SELECT kind, name FROM outcomes WHERE settled = 1").fetchall()
    return {f"{kind} {name}" for kind, name in rows}


def computed(out: Path, since: int = 0) -> set[str]:
    """Names of what was computed, from the log's lines after so many bytes."""
    log = out / "logs" / "run.jsonl"
    names: set[str] = set()
    for line in log.read_bytes()[since:].splitlines() if log.exists() else ():
        try:
            event = json.loads(line)
        except ValueError:  # cut by a kill or a full disk
            continue
        if event["event"] == "file":
            names.add(f"sample {event['sample_id']}" if "sample_id" in event else _beads(event))
    return names


def log_size(out: Path) -> int:
    """Bytes of the log so far."""
    log = out / "logs" / "run.jsonl"
    return log.stat().st_size if log.exists() else 0


def _beads(event: dict[str, str]) -> str:
    return f"beads {event['bead_run']}"


def children(pid: int) -> list[int]:
    """Processes whose parent is `pid` (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == pid:
                found.append(int(stat.parent.name))
    return found


@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path | None]:
    """Mount a tmpfs of so many bytes; None where that is not allowed."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        done = False
    try:
        yield place if done else None
    finally:
        if done:
            subprocess.run(["umount", str(place)], check=True)


def worst(one: Tally | None, other: Tally) -> Tally:
    """Add up two rounds of one fault."""
    if one is None:
        return other
    return Tally(
        other.fault,
        other.n_faults,
        other.n_commands,
        one.n_twice + other.n_twice,
        one.n_left + other.n_left,
        one.equal and other.equal,
        other.note,
    )


def table(tallies: list[Tally], n_files: int, seconds: float) -> str:
    """The figures as Markdown."""
    lines = [
        f"{n_files} files; an undisturbed run takes {seconds:.0f} s with two workers.",
        "",
        "| fault | times | commands run | computed twice | temporary files left | tables equal |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for t in tallies:
        equal = t.note or ("yes" if t.equal else "**no**")
        cells = (t.fault, t.n_faults, t.n_commands, t.n_twice, t.n_left, equal)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> int:
    """Run the campaign; status 1 where anything was lost, doubled or left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=55)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--workers-killed", type=int, default=20)
    parser.add_argument("--full-disks", type=int, default=5)
    parser.add_argument("--changes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), 2, wanted.seed)
        campaign.prepare(wanted.patients, 400)
        todo: list[tuple[Callable[[int], Tally], int]] = [
            (campaign.kill_runs, wanted.kills),
            (campaign.stop_runs, wanted.stops),
            (campaign.kill_workers, wanted.workers_killed),
            (campaign.fill_disk, wanted.full_disks),
            (campaign.change_files, wanted.changes),
        ]
        tallies = []
        for fault, n in todo:
            tallies.append(fault(n))
            print(tallies[-1], flush=True)
        text = table(tallies, campaign.n_files, campaign.undisturbed_seconds)
    print(text)
    page = ROOT / "docs" / "reliability.md"
    before, _, after = page.read_text(encoding="utf-8").partition(MARK)
    rest = after.partition(MARK)[2]
    page.write_text(f"{before}{MARK}\n{text}\n{MARK}{rest}", encoding="utf-8")
    counts = Counter(t.equal and not t.n_twice and not t.n_left for t in tallies)
    return int(counts[False] > 0)


if __name__ == "__main__":
    sys.exit(main())
