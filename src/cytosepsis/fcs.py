"""FCS files: checked metadata and the events, block by block. The only door to FlowKit's reader.

FlowKit's parser (`FlowData`, on which `flowkit.Sample` is built) has to accept HEADER and TEXT;
uniform float and integer DATA is then read in blocks into a reused buffer, anything else is decoded
by FlowKit as a whole. Blocks, not a map: a mapped file that shrinks kills the process.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cytosepsis.errors import FcsError
from cytosepsis.fcs_text import Header, TextSegment, read_header, read_text
from cytosepsis.fcs_time import acquisition_time

BLOCK_BYTES = 4 * 2**20  # per read: large enough to be fast, small enough to stay in cache
MAX_PARAMETERS = 10_000  # mass and spectral cytometers stay below 300


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd about a file that did not stop it from being read."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One measured quantity: what `$PnN` … `$PnV` say about column n - 1."""

    pnn: str
    pns: str
    bits: int
    range: float  # $PnR
    decades: float  # $PnE, 0 on a linear amplifier and for float data
    log_offset: float  # $PnE's second number: the value at channel 0
    gain: float | None  # $PnG
    voltage: float | None  # $PnV
    is_time: bool

    @property
    def applied_gain(self) -> float:
        """The gain that values are divided by: $PnG belongs to linear amplifiers only."""
        if self.gain is None or self.gain == 0 or self.decades > 0 or self.is_time:
            return 1.0
        return self.gain


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of DATA lie in the file; `dtype` None where only FlowKit can decode them."""

    data_type: str  # $DATATYPE: F, D, I or A
    dtype: np.dtype[Any] | None  # of every item, byte order included
    row_bytes: int
    first_byte: int
    masks: tuple[int, ...] = ()  # integers: the bits that $PnR leaves; () where none is cut


@dataclass(frozen=True, slots=True)
class RawEvents:
    """One data set of an FCS file: its checked metadata, and its events on request.

    Nothing of the size of the file is held, but where FlowKit had to decode it (`decoded`).
    """

    path: str
    version: str
    keywords: Mapping[str, str]  # upper case, `$` kept, values as in the file
    parameters: tuple[Parameter, ...]
    n_events: int
    layout: Layout
    notes: tuple[Note, ...] = ()
    time_step: float = 1.0  # seconds per unit of the time parameter ($TIMESTEP)
    decoded: NDArray[np.float64] | None = None  # (n_events, n_parameters), as stored

    @property
    def pnn(self) -> tuple[str, ...]:
        """`$PnN` of every parameter."""
        return tuple(parameter.pnn for parameter in self.parameters)

    @property
    def pns(self) -> tuple[str, ...]:
        """`$PnS` of every parameter, "" where absent."""
        return tuple(parameter.pns for parameter in self.parameters)

    @property
    def n_parameters(self) -> int:
        """Number of columns."""
        return len(self.parameters)

    @property
    def cytometer(self) -> str | None:
        """Type and serial number of the instrument, as far as the file names them."""
        words = (
            self.keywords.get("$CYT", "").strip(),
            (self.keywords.get("$CYTSN") or self.keywords.get("CYTNUM") or "").strip(),
        )
        return " ".join(word for word in words if word) or None

    @property
    def acquired_at(self) -> datetime | None:
        """Begin of the acquisition; None where the file does not say it in a known form."""
        return acquisition_time(self.keywords)

    def blocks(self, *, rows: int | None = None) -> Iterator[NDArray[Any]]:
        """Yield the stored events in blocks of rows, in file order.

        Each block is a (n, n_parameters) array of `layout.dtype` (byte order as in the file) that
        is valid until the next one is asked for; a decoded file yields one float64 array. Integer
        masks are not applied. FcsError where the file has become shorter since it was read.
        """
        if self.decoded is not None:
            yield self.decoded
            return
        assert self.layout.dtype is not None
        per_block = rows or max(1, BLOCK_BYTES // self.layout.row_bytes)
        per_block = min(per_block, max(1, self.n_events))
        buffer = np.empty((per_block, self.n_parameters), dtype=self.layout.dtype)
        with Path(self.path).open("rb", buffering=0) as handle:
            handle.seek(self.layout.first_byte)
            for first in range(0, self.n_events, per_block):
                block = buffer[: min(per_block, self.n_events - first)]
                _read_fully(handle, block, self.path)
                yield block

    def stored(self) -> NDArray[np.float64]:
        """Numbers as stored, bit masks applied: float64 (n_events, n_parameters)."""
        out = np.empty((self.n_events, self.n_parameters))
        first = 0
        for block in self.blocks():
            rows = out[first : first + len(block)]
            if self.layout.masks and self.decoded is None:
                assert self.layout.dtype is not None
                masks = np.array(self.layout.masks, dtype=self.layout.dtype.newbyteorder("="))
                rows[...] = block & masks
            else:
                rows[...] = block
            first += len(block)
        return out

    def linear(self) -> NDArray[np.float64]:
        """Values on linear scales: float64 (n_events, n_parameters).

        Log amplifiers are undone (FCS 3.1, 3.2.20), linear amplifiers' gains divided out, time
        multiplied by $TIMESTEP. Equals `flowkit.Sample(...).get_events("raw")` but for gains on
        log amplifiers and $PnE of float data, where FlowKit leaves the standard.
        """
        events = self.stored()
        linearize(events, self)
        return events


def linearize(events: NDArray[np.float64], raw: RawEvents) -> None:
    """Turn stored numbers (n, n_parameters) into linear ones, in place."""
    for index, parameter in enumerate(raw.parameters):
        if parameter.is_time and raw.time_step != 1.0:
            events[:, index] *= raw.time_step
        if parameter.decades > 0:
            exponent = parameter.decades * events[:, index] / parameter.range
            events[:, index] = (10**exponent) * parameter.log_offset
        elif parameter.applied_gain != 1.0:
            events[:, index] /= parameter.applied_gain


def _read_fully(handle: Any, block: NDArray[Any], path: str) -> None:
    view = memoryview(block.reshape(-1).view(np.uint8))
    done = 0
    while done < len(view):
        got = handle.readinto(view[done:])
        if not got:
            raise FcsError(
                "the file became shorter while it was read; copy it again",
                code="truncated",
                file=path,
            )
        done += got


# ------------------------------------------------------------------------------------ reading


def read_keywords(path: str | Path, *, dataset: int | None = None) -> RawEvents:
    """Metadata of an FCS file, events untouched: like `read_fcs`, but DATA may be damaged.

    Offsets and counts of DATA are not checked and nothing is decoded; for listings and checks.
    """
    return _open(path, dataset, check_data=False)


def read_fcs(path: str | Path, *, dataset: int | None = None) -> RawEvents:
    """Read and check one data set of an FCS file.

    Parameters
    ----------
    path
        The file.
    dataset
        Which of several data sets, from 0; None accepts files that hold one.

    Raises
    ------
    FcsError
        The file is missing, is no FCS file, contradicts itself, is shorter than it says, or holds
        several data sets and none was chosen. `code` says which.

    """
    return _open(path, dataset, check_data=True)


def _open(path: str | Path, dataset: int | None, *, check_data: bool) -> RawEvents:
    try:
        with Path(path).open("rb") as handle:
            return _read_data_set(handle, str(path), dataset, check_data=check_data)
    except FcsError as error:
        raise error.with_context(file=str(path), step="read") from error.__cause__
    except FileNotFoundError as error:
        raise FcsError("no such file", code="missing", file=str(path), step="read") from error
    except OSError as error:
        raise FcsError(
            f"cannot be read: {error.strerror}", code="unreadable", file=str(path), step="read"
        ) from error


def _read_data_set(
    handle: BinaryIO, path: str, dataset: int | None, *, check_data: bool
) -> RawEvents:
    offset = _data_set_offset(handle, dataset)
    header = read_header(handle, offset)
    text = read_text(handle, header, offset)
    several = _integer(text.keywords, "$NEXTDATA", default=0) != 0
    if several and dataset is None and check_data:
        raise FcsError(
            f"the file holds {len(data_set_offsets(handle))} data sets; choose one (dataset=0 …)",
            code="several_data_sets",
        )
    notes = [Note(*note) for note in text.notes]
    _check_mode(text.keywords)
    parameters = _parameters(text.keywords, notes)
    layout = _layout(text.keywords, parameters)
    n_events = _integer(text.keywords, "$TOT", default=None if check_data else 0)
    size = handle.seek(0, os.SEEK_END)
    if check_data and layout.row_bytes:
        first = _first_byte(header, text, n_events * layout.row_bytes, size - offset, notes)
        layout = replace(layout, first_byte=offset + first)
    raw = RawEvents(
        path=path,
        version=header.version,
        keywords=MappingProxyType(text.keywords),
        parameters=parameters,
        n_events=n_events,
        layout=layout,
        notes=tuple(notes),
        time_step=_time_step(text.keywords, notes),
    )
    if not check_data:
        return raw
    return _accepted_by_flowkit(raw, handle, offset)


def _data_set_offset(handle: BinaryIO, dataset: int | None) -> int:
    if not dataset:
        return 0
    offsets = data_set_offsets(handle, limit=dataset + 1)
    if dataset >= len(offsets):
        raise FcsError(
            f"data set {dataset} was asked for, the file holds {len(offsets)} (from 0)",
            code="data_set_missing",
        )
    return offsets[dataset]


def data_set_offsets(handle: BinaryIO, *, limit: int = 1000) -> tuple[int, ...]:
    """Where the file's data sets begin, following $NEXTDATA; stops at loops and at the end."""
    size = handle.seek(0, os.SEEK_END)
    offsets = [0]
    while len(offsets) < limit:
        try:
            text = read_text(handle, read_header(handle, offsets[-1]), offsets[-1])
            step = _integer(text.keywords, "$NEXTDATA", default=0)
            following = offsets[-1] + step
            if step <= 0 or following >= size:
                break
            read_header(handle, following)
        except FcsError:
            break  # a chain that leads nowhere ends where it still made sense
        offsets.append(following)
    return tuple(offsets)


# --------------------------------------------------------------------------- what TEXT says


def _integer(keywords: Mapping[str, str], key: str, *, default: int | None = None) -> int:
    text = keywords.get(key, "").strip()
    if not text:
        if default is None:
            raise FcsError(f"keyword {key} is missing", code="keyword_missing")
        return default
    try:
        value = int(text)
    except ValueError:
        raise FcsError(
            f"keyword {key} should be a whole number, found {text[:40]!r}", code="keyword_invalid"
        ) from None
    if value < 0:
        raise FcsError(f"keyword {key} is negative: {value}", code="keyword_invalid")
    return value


def _number(keywords: Mapping[str, str], key: str) -> float | None:
    try:
        value = float(keywords[key])
    except (KeyError, ValueError):
        return None
    return value if np.isfinite(value) else None


def _check_mode(keywords: Mapping[str, str]) -> None:
    mode = keywords.get("$MODE", "L").strip().upper()
    if mode != "L":
        raise FcsError(
            f"$MODE is {mode[:10]!r}: a histogram, not a list of events (L)", code="not_list_mode"
        )


def _parameters(keywords: Mapping[str, str], notes: list[Note]) -> tuple[Parameter, ...]:
    count = _integer(keywords, "$PAR")
    if not 1 <= count <= MAX_PARAMETERS:
        raise FcsError(f"$PAR is {count}; refused", code="keyword_invalid")
    is_float = _data_type(keywords) in ("F", "D")
    parameters = []
    for n in range(1, count + 1):
        if f"$P{n}N" not in keywords:
            raise FcsError(f"$PAR is {count}, but $P{n}N is missing", code="keyword_missing")
        decades, log_offset = _amplifier(keywords, n)
        if decades > 0 and is_float:
            notes.append(Note("log_on_float", f"$P{n}E names a log amplifier on float data"))
            decades = 0.0
        pnn = keywords[f"$P{n}N"].strip()
        parameters.append(
            Parameter(
                pnn=pnn,
                pns=keywords.get(f"$P{n}S", "").strip(),
                bits=_bits(keywords, n),
                range=_number(keywords, f"$P{n}R") or 0.0,
                decades=decades,
                log_offset=log_offset,
                gain=_number(keywords, f"$P{n}G"),
                voltage=_number(keywords, f"$P{n}V"),
                is_time=pnn.lower() == "time",
            )
        )
    names = [parameter.pnn for parameter in parameters]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        notes.append(Note("names_repeated", f"$PnN stand more than once: {', '.join(twice)}"))
    return tuple(parameters)


def _amplifier(keywords: Mapping[str, str], n: int) -> tuple[float, float]:
    text = keywords.get(f"$P{n}E", "0,0")
    try:
        decades, offset = (float(word) for word in text.split(","))
    except ValueError:
        raise FcsError(
            f"$P{n}E should be two numbers, found {text[:40]!r}", code="keyword_invalid"
        ) from None
    if decades > 0 and offset == 0:
        offset = 1.0  # FCS 3.1, 3.2.20: an invalid 0 is read as 1
    return decades, offset


def _bits(keywords: Mapping[str, str], n: int) -> int:
    text = keywords.get(f"$P{n}B", "").strip()
    if text == "*":  # ASCII of free width
        return 0
    return _integer(keywords, f"$P{n}B")


def _data_type(keywords: Mapping[str, str]) -> str:
    data_type = keywords.get("$DATATYPE", "").strip().upper()
    if data_type not in ("F", "D", "I", "A"):
        raise FcsError(
            f"$DATATYPE should be F, D, I or A, found {data_type[:10]!r}", code="keyword_invalid"
        )
    return data_type


def _byte_order(keywords: Mapping[str, str]) -> str:
    text = keywords.get("$BYTEORD", "").replace(" ", "")
    try:
        order = [int(word) for word in text.split(",")]
    except ValueError:
        order = []
    if len(order) > 1 and order == sorted(order):
        return "<"
    if len(order) > 1 and order == sorted(order, reverse=True):
        return ">"
    raise FcsError(f"$BYTEORD should be 1,2,3,4 or 4,3,2,1, found {text[:40]!r}", code="byte_order")


def _layout(keywords: Mapping[str, str], parameters: tuple[Parameter, ...]) -> Layout:
    data_type = _data_type(keywords)
    if any(f"$P{n}DATATYPE" in keywords for n in range(1, len(parameters) + 1)):
        raise FcsError(
            "parameters of different types ($PnDATATYPE, FCS 3.2) are not read yet",
            code="layout_unsupported",
        )
    if data_type == "A":
        return Layout(data_type, None, 0, 0)
    order = _byte_order(keywords)
    widths = {parameter.bits for parameter in parameters}
    if data_type in ("F", "D"):
        wanted = 32 if data_type == "F" else 64
        if widths != {wanted}:
            raise FcsError(
                f"$DATATYPE {data_type} wants $PnB {wanted}, found {sorted(widths)}",
                code="layout_unsupported",
            )
        return Layout(data_type, np.dtype(f"{order}f{wanted // 8}"), _row_bytes(parameters), 0)
    dtype = None
    if len(widths) == 1 and widths <= {8, 16, 32}:
        dtype = np.dtype(f"{order}u{widths.pop() // 8}")
    return Layout(data_type, dtype, _row_bytes(parameters), 0, _masks(parameters))


def _row_bytes(parameters: tuple[Parameter, ...]) -> int:
    bits = sum(parameter.bits for parameter in parameters)
    return bits // 8 if bits % 8 == 0 else 0


def _masks(parameters: tuple[Parameter, ...]) -> tuple[int, ...]:
    """Bits below the next power of two of $PnR (FCS 3.1, 3.2.20); a range of 0 cuts nothing."""
    masks = []
    for parameter in parameters:
        full = 2**parameter.bits - 1
        top = int(parameter.range)
        masks.append(min(full, 2 ** (top - 1).bit_length() - 1) if top > 0 else full)
    cut = any(mask < 2**p.bits - 1 for mask, p in zip(masks, parameters, strict=True))
    return tuple(masks) if cut else ()


def _time_step(keywords: Mapping[str, str], notes: list[Note]) -> float:
    if "$TIMESTEP" not in keywords or not keywords["$TIMESTEP"].strip():
        return 1.0
    step = _number(keywords, "$TIMESTEP")
    if step is None:
        notes.append(Note("timestep_invalid", "$TIMESTEP is not a number; ignored"))
        return 1.0
    return step


# ------------------------------------------------------------------------- where DATA lies


def _first_byte(
    header: Header, text: TextSegment, n_bytes: int, size: int, notes: list[Note]
) -> int:
    """First byte of DATA: of the places given, one whose length is $TOT rows and outside TEXT."""
    places = _data_places(header, text.keywords)
    exact = [place for place in places if place[1] - place[0] + 1 == n_bytes]
    near = [place for place in places if place[1] - place[0] + 1 == n_bytes + 1]
    usable = [p for p in exact + near if not _overlap(p, header.text)]
    if n_bytes == 0 and places:
        return places[0][0]
    if not usable:
        _raise_for_length(places, n_bytes, size)
    after_text = [p for p in usable if p[0] == header.text[1] + 1]
    first, last = (after_text or usable)[0]
    if first + n_bytes > size:
        raise FcsError(
            f"DATA should reach byte {first + n_bytes:,}, the file has {size:,}: "
            "it is cut short; copy or export it again",
            code="truncated",
        )
    if last - first + 1 == n_bytes + 1:
        notes.append(Note("data_end_off_by_one", "the end of DATA is given one byte too far"))
    if len({place[0] for place in places}) > 1:
        notes.append(
            Note(
                "offset_note",
                "HEADER and TEXT give different places for DATA; the one that holds $TOT events was read",
            )
        )
    return first


def _data_places(header: Header, keywords: Mapping[str, str]) -> list[tuple[int, int]]:
    places: list[tuple[int, int]] = []
    if header.version != "2.0" and "$BEGINDATA" in keywords:
        begin, end = _integer(keywords, "$BEGINDATA"), _integer(keywords, "$ENDDATA", default=0)
        places.append((begin, end))
    if header.data is not None and header.data[0] > 0 and header.data not in places:
        places.append(header.data)
    return [place for place in places if place[0] > 0]


def _overlap(place: tuple[int, int], other: tuple[int, int]) -> bool:
    return place[0] <= other[1] and other[0] <= place[1]


def _raise_for_length(places: list[tuple[int, int]], n_bytes: int, size: int) -> None:
    if not places:
        raise FcsError("neither HEADER nor TEXT says where DATA lies", code="data_offsets")
    found = " or ".join(f"{last - first + 1:,}" for first, last in places)
    if any(first + n_bytes > size for first, _ in places):
        raise FcsError(
            f"$TOT and $PnB want {n_bytes:,} bytes of DATA, the file ends before ({size:,} bytes)",
            code="truncated",
        )
    raise FcsError(
        f"$TOT and $PnB want {n_bytes:,} bytes of DATA, the offsets give {found}: "
        "another number of events than the file says",
        code="event_count",
    )


# --------------------------------------------------------------------------- FlowKit's word


def _accepted_by_flowkit(raw: RawEvents, handle: BinaryIO, offset: int) -> RawEvents:
    """Have FlowKit's parser read HEADER and TEXT, and DATA where only it can decode it."""
    from flowio import FlowData  # noqa: PLC0415  (0.1 s; only where a file is read)

    needs_decoding = raw.layout.dtype is None
    handle.seek(0)
    try:
        # FlowKit gets our handle: it leaks its own on garbage. It closes it; ours is a duplicate.
        with os.fdopen(os.dup(handle.fileno()), "rb") as lent, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = FlowData(
                lent,
                ignore_offset_error=True,
                ignore_offset_discrepancy=True,
                only_text=not needs_decoding,
                nextdata_offset=offset,
            )
            if not needs_decoding:
                return raw
            if data.events is None:
                raise NotImplementedError
            if len(data.events) != raw.n_events * raw.n_parameters:
                raise FcsError("FlowKit decodes another number of values", code="event_count")
            events = np.array(data.events, dtype=np.float64)
    except FcsError:
        raise
    except Exception as error:
        if not needs_decoding:
            note = Note(
                "flowkit_refused", f"FlowKit's parser refuses this file: {type(error).__name__}"
            )
            return replace(raw, notes=(*raw.notes, note))
        bits = sorted({parameter.bits for parameter in raw.parameters})
        raise FcsError(
            f"$DATATYPE {raw.layout.data_type} with {bits} bits per value is not supported "
            f"(FlowKit: {type(error).__name__})",
            code="layout_unsupported",
        ) from error
    return replace(raw, decoded=events.reshape(raw.n_events, raw.n_parameters))
