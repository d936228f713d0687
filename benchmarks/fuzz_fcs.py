"""Mutated FCS files by the thousand: no crash, no hang, no unbounded memory, no silent change.

    python benchmarks/fuzz_fcs.py --count 100000 --start 0 [--corpus DIR]

Each number makes one file: a seed from the corpus, cut to a few kilobytes, with some bytes
of HEADER, TEXT or DATA changed, removed, doubled or cut off. The reader must return events or raise
FcsError with a code, within a second and a bounded memory. A single change in a keyword or
offset on which events depend must not change their numbers without a note. Faults are written to
stdout, one line each, with the number that makes the file again.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cytosepsis.errors import FcsError
from cytosepsis.fcs import RawEvents, read_fcs, read_keywords
from cytosepsis.fcs_sets import data_sets

LARGEST = 64 * 2**10  # bytes of a seed; larger corpus files are rewritten with fewer events
SECONDS = 1.0
MEMORY = 2 * 2**30  # address space above what is used at the start
BYTES = b"0123456789/$,*.-+FIDA \0\xff|\\\n"
NUMBERS = (b"0", b"1", b"-1", b"999999999999", b"65", b"1e9", b"", b"nan", b"3,4,1,2", b"\xc3\xa9")


def seeds(corpus: Path) -> list[tuple[str, bytes]]:
    """Files of the corpus that are small, and larger ones with their first events only."""
    found = []
    for path in sorted(corpus.rglob("*")):
        if not path.is_file():
            continue
        raw = path.read_bytes()
        if raw[:3] != b"FCS":
            continue
        small = raw if len(raw) <= LARGEST else shortened(path, raw)
        if small is not None:
            found.append((path.relative_to(corpus).as_posix(), small))
    return found


def shortened(path: Path, raw: bytes) -> bytes | None:
    """The same HEADER and TEXT with few events: $TOT and the ends of DATA rewritten in place."""
    try:
        with path.open("rb") as handle:
            sets = data_sets(handle)
        events = read_fcs(path, dataset=0)
    except FcsError:
        return None
    text = sets[0].header.text
    first, row = events.layout.first_byte, events.layout.row_bytes
    if len(sets) > 1 or text[1] > LARGEST or first < text[1] or first > LARGEST or row == 0:
        return None
    rows = min(events.n_events, max(2, 2000 // row))
    last = first + rows * row - 1
    head = bytearray(raw[: last + 1])
    head[26:42] = b"%8d%8d" % (first, last)
    for key, number in (("$TOT", rows), ("$BEGINDATA", first), ("$ENDDATA", last)):
        value = sets[0].text.keywords.get(key)
        if value is None:
            continue
        old = value.encode()
        key_at = raw[: text[1] + 1].upper().find(key.encode())
        at = raw.find(old, key_at)
        if key_at < 0 or at < 0 or len(str(number)) > len(old):
            return None
        head[at : at + len(old)] = str(number).rjust(len(old), "0").encode()
    return bytes(head)


def mutated(raw: bytes, source: random.Random) -> tuple[bytes, bool]:
    """A changed file, and whether one change of bytes in place is all that was done to it."""
    changed = bytearray(raw)
    single = source.random() < 0.5
    for _ in range(1 if single else source.randint(2, 8)):
        kind = source.random()
        end = min(len(changed), source.choice((58, 4096, len(changed))))
        if end == 0:
            break
        place = source.randrange(end)
        if single or kind < 0.5:
            changed[place] = source.choice(BYTES)
        elif kind < 0.65:
            del changed[place : place + source.randint(1, 20)]
        elif kind < 0.8:
            changed[place:place] = changed[place : place + source.randint(1, 200)]
        elif kind < 0.95:
            changed[place : place + 1] = source.choice(NUMBERS)
        else:
            del changed[place:]
    return bytes(changed), single


def outcome(path: Path) -> tuple[str, bytes | None, RawEvents | None]:
    """Code of the refusal, or the stored numbers."""
    try:
        raw = read_fcs(path)
        return "ok", raw.stored().tobytes(), raw
    except FcsError as error:
        return error.code, None, None


def is_silent(sound: RawEvents, found: RawEvents) -> bool:
    """Whether numbers changed although nothing that they follow from did.

    Seeds whose DATA is untouched may give other numbers only where a keyword says so (a mask, a
    type, another number of parameters): these are compared.
    """
    if set(found.note_codes) - set(sound.note_codes):
        return False

    def said(raw: RawEvents) -> tuple[object, ...]:
        layout = raw.layout
        kind = layout.dtype, layout.row_bits, layout.masks, layout.fields, layout.big_endian
        return (raw.n_events, raw.dataset, raw.version, *kind)

    return said(sound) == said(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--start", type=int, default=0)
    corpus = os.environ.get("CYTOSEPSIS_CORPUS", "../shared/fcs")
    parser.add_argument("--corpus", type=Path, default=Path(corpus))
    options = parser.parse_args()
    files = seeds(options.corpus)
    if not files:
        sys.exit(f"no FCS file below {options.corpus}; set CYTOSEPSIS_CORPUS or --corpus")
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    path = folder / "a.fcs"
    sound = {}
    for name, raw in files:
        path.write_bytes(raw)
        sound[name] = outcome(path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    say(f"{len(files)} seeds, {sum(s[0] == 'ok' for s in sound.values())} of them sound")
    faults, counts = 0, dict.fromkeys(("ok", "refused"), 0)
    began = time.monotonic()
    for number in range(options.start, options.start + options.count):
        source = random.Random(number)  # noqa: S311  (to be made again, not to be secret)
        name, raw = source.choice(files)
        changed, single = mutated(raw, source)
        path.write_bytes(changed)
        fault = tried(path, sound[name], changed, raw, single, counts)
        if fault:
            faults += 1
            say(f"{number} {name}: {fault}")
        if number % 10_000 == 9_999:
            say(f"{number + 1} files, {faults} faults, {time.monotonic() - began:.0f} s, {counts}")
    path.unlink()
    folder.rmdir()
    say(f"done: {options.count} files, {faults} faults, {counts}")
    return 1 if faults else 0


def tried(
    path: Path,
    sound: tuple[str, bytes | None, RawEvents | None],
    changed: bytes,
    raw: bytes,
    single: bool,
    counts: dict[str, int],
) -> str:
    """Read one file; what is wrong about how that went."""
    began = time.monotonic()
    try:
        code, numbers, found = outcome(path)
        counts["ok" if code == "ok" else "refused"] += 1
        with contextlib.suppress(FcsError):
            read_keywords(path)
        if code == FcsError.default_code:
            return "refused without a code"
    except Exception as error:  # noqa: BLE001  anything else is what is looked for
        return f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - began
    if seconds > SECONDS:
        return f"took {seconds:.1f} s"
    if single and found is not None and sound[2] is not None and numbers != sound[1]:
        first = sound[2].layout.first_byte
        in_data = raw[:first] == changed[:first]
        if not in_data and is_silent(sound[2], found):
            return "other numbers without a note"
    return ""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    np.seterr(invalid="ignore")  # damaged floats are signalling NaN now and then
    sys.exit(main())
