"""FCS files copied without identifying keywords: technical ones are kept, all others left out.

A list of what to keep fails safe: a keyword that nobody has thought of is removed. DATA is copied
byte for byte, and every copy is read again and searched for what was removed.
"""

from __future__ import annotations

import csv
import os
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cytosepsis.errors import CytosepsisError, FcsError
from cytosepsis.fcs import RawEvents, read_fcs, read_keywords
from cytosepsis.fcs_time import acquisition_time
from cytosepsis.fcs_write import head_of

# What reading, compensating and quantifying need. $CYTSN and the dates are replaced.
KEPT = (
    r"\$P\d+[A-Z]+",
    r"P\d+(DISPLAY|BS|MS)",
    r"\$(PAR|TOT|MODE|DATATYPE|BYTEORD|TIMESTEP|UNICODE|CYT|TR|LOST|ABRT|VOL)",
    r"\$?SPILL(OVER)?|\$COMP|\$DFC\d+TO\d+",
    r"THRESHOLD|APPLY COMPENSATION",
)
# Whose values must appear nowhere in the copy, not inside another keyword either.
IDENTIFYING = re.compile(
    r"\$(SRC|SMNO|FIL|OP|INST|EXP|PROJ|COM|CELLS|SYS|PLATEID|PLATENAME|WELLID|CYTSN"
    r"|LAST_MODIFIER)|.*(PATIENT|NAME|BIRTH|DOB|USER|OPERATOR|SPECIMEN|SAMPLE|ACCESSION"
    r"|PHYSICIAN|DOCTOR|HOSPITAL|WARD|COMMENT|GUID|SERIAL|COMPUTER|HOST|PATH|\bID\b).*"
)
_MONTHS = tuple("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split())  # noqa: SIM905
_LEAST_SEARCHED = 4  # characters; shorter values are everywhere by chance


@dataclass(frozen=True, slots=True)
class Rules:
    """What a lab adds to the lists: names of keywords, matched whole and without case."""

    keep: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()  # goes before `keep` and the built-in list

    def kept(self, keyword: str) -> bool:
        """Whether a keyword stays."""
        if keyword.upper() in {name.upper() for name in self.remove}:
            return False
        if keyword.upper() in {name.upper() for name in self.keep}:
            return True
        return any(re.fullmatch(pattern, keyword.upper()) for pattern in KEPT)


BUILT_IN = Rules()


@dataclass(frozen=True, slots=True)
class Replaced:
    """What takes the place of a file's serial number and dates; None: left out."""

    cytometer: str | None = None
    acquired_at: datetime | None = None
    shift_days: int = 0  # of an acquisition date where no moment is given


def anonymize_files(
    files: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    mapping: str | os.PathLike[str] | None = None,
    rules: Rules = BUILT_IN,
    shift_days: int | None = None,
) -> tuple[Path, ...]:
    """Copy files to `out/0001.fcs`, … in a random order; who is who stands in `mapping` alone.

    Parameters
    ----------
    files
        FCS files; of several data sets in one, each becomes a file (`0001-1.fcs`, …).
    out
        A folder that is new or empty.
    mapping
        CSV to be written, outside of `out`; default: beside it, with `-mapping.csv`.
    rules
        Keywords to keep or remove besides the built-in lists.
    shift_days
        By which all dates are shifted, so that intervals stay; None: a random number, not kept.

    Raises
    ------
    CytosepsisError, FcsError
        Nothing is overwritten, and a copy that cannot be shown to be clean is not left behind.
    """
    folder, key = new_folder(out), mapping_path(out, mapping)
    days = random_shift() if shift_days is None else shift_days
    order = list(files)
    secrets.SystemRandom().shuffle(order)
    serials: dict[str, str] = {}
    written, rows = [], []
    for number, file in enumerate(order, start=1):
        for dataset in _data_sets(Path(file)):
            part = "" if dataset is None else f"-{dataset + 1}"
            target = folder / f"{number:04d}{part}.fcs"
            raw = read_fcs(Path(file), dataset=dataset)
            serial = raw.keywords.get("$CYTSN", "").strip()
            pseudonym = serials.setdefault(serial, f"C{len(serials) + 1}") if serial else None
            copy_fcs(raw, target, rules, Replaced(pseudonym, shift_days=days))
            written.append(target)
            rows.append(("file", str(file), target.name))
    rows += [("cytometer", serial, name) for serial, name in serials.items()]
    write_mapping(key, [*rows, ("shift_days", str(days), "")])
    return tuple(written)


def copy_fcs(raw: RawEvents, target: Path, rules: Rules, replaced: Replaced) -> None:
    """Write one copy and verify it; it does not stay where it cannot be shown to be clean."""
    if raw.decoded is not None or raw.layout.first_byte is None:
        raise CytosepsisError(
            f"{target.name}: the original's events are not stored as whole rows; it is not copied.",
            code="anonymize",
        )
    text = _text(raw, rules, replaced)
    data = _data(raw)
    head = head_of(text, len(data), version=raw.version)
    _check_clean(raw, text, head, target.name)
    try:
        with target.open("xb") as file:
            file.write(head)
            file.write(data)
        copy = read_fcs(target)
        same = (copy.parameters, copy.n_events) == (raw.parameters, raw.n_events)
        if not same or _data(copy) != data:
            raise CytosepsisError(f"{target.name}: the copy's events differ.", code="anonymize")
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def new_folder(out: str | os.PathLike[str]) -> Path:
    """A folder for copies: new or empty."""
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise CytosepsisError(
            f"{folder}: not empty; nothing is overwritten. Name a new folder.", code="anonymize"
        )
    return folder


def mapping_path(out: str | os.PathLike[str], mapping: str | os.PathLike[str] | None) -> Path:
    """Where the mapping goes: not among the copies, and not over another one."""
    folder = Path(out).resolve()
    path = Path(mapping).resolve() if mapping else folder.with_name(f"{folder.name}-mapping.csv")
    if path.is_relative_to(folder):
        raise CytosepsisError(
            f"{path}: the mapping would lie among the copies. Name a place apart.", code="anonymize"
        )
    if path.exists():
        raise CytosepsisError(f"{path}: exists; nothing is overwritten.", code="anonymize")
    return path


def write_mapping(path: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    """Write what, original, pseudonym; readable by its owner only."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("what", "original", "pseudonym"))
        writer.writerows(rows)


def random_shift() -> int:
    """Draw days, one to ten years back."""
    return -(365 + secrets.randbelow(3287))


def _data_sets(path: Path) -> tuple[int | None, ...]:
    """Number the data sets of a file; none has a number where it is clear which is meant."""
    try:
        read_fcs(path)
    except FcsError as error:
        if error.code != "several_data_sets":
            raise
        return tuple(range(read_keywords(path).n_data_sets))
    return (None,)


def _text(raw: RawEvents, rules: Rules, replaced: Replaced) -> dict[str, str]:
    zeros = ("$BEGINANALYSIS", "$ENDANALYSIS", "$BEGINSTEXT", "$ENDSTEXT", "$NEXTDATA")
    text = dict.fromkeys(zeros, "0")
    for key, value in raw.keywords.items():
        if key not in text and value.strip() and rules.kept(key):
            text[key] = value
    for key in ("$BEGINDATA", "$ENDDATA"):
        text.pop(key, None)
    if replaced.cytometer:
        text["$CYTSN"] = replaced.cytometer
    return text | _dates(raw.keywords, replaced)


def _dates(keywords: Mapping[str, str], replaced: Replaced) -> dict[str, str]:
    """Shift the begin of the acquisition; without a moment that is understood, no date at all."""
    begin = acquisition_time(keywords)
    moment = replaced.acquired_at
    if moment is None and begin is not None:
        moment = begin + timedelta(days=replaced.shift_days)
    if moment is None:
        return {}
    if "$BEGINDATETIME" in keywords:
        return {"$BEGINDATETIME": moment.isoformat()}
    # Whole units of the form that the file has: hundredths, or sixtieths of FCS 3.0.
    mark, unit = (":", 60) if keywords.get("$BTIM", "").count(":") == 3 else (".", 100)
    rest = round(moment.microsecond * unit / 1e6)
    month = _MONTHS[moment.month - 1]
    clock = f"{moment:%H:%M:%S}" + (f"{mark}{rest:02d}" if rest else "")
    return {"$DATE": f"{moment.day:02d}-{month}-{moment.year}", "$BTIM": clock}


def _data(raw: RawEvents) -> bytes:
    first = raw.layout.first_byte or 0
    with Path(raw.path).open("rb") as file:
        file.seek(first)
        return file.read(raw.n_events * raw.layout.row_bytes)


def _check_clean(raw: RawEvents, text: Mapping[str, str], head: bytes, name: str) -> None:
    """Refuse where a value that identifies also stands inside a keyword that is kept."""
    lowered = head.lower()
    for key, value in raw.keywords.items():
        secret = value.strip().lower()
        if key in text and text[key] == value:
            continue
        if len(secret) < _LEAST_SEARCHED or not IDENTIFYING.fullmatch(key.upper()):
            continue
        if secret.encode() in lowered or secret.encode("latin-1", "replace") in lowered:
            holders = [kept for kept, there in text.items() if secret in there.lower()]
            raise CytosepsisError(
                f"{name}: what the original says in {key} also stands in "
                f"{', '.join(holders) or 'TEXT'}. Remove that too (--remove).",
                code="anonymize",
            )
