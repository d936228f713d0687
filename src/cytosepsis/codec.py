"""Frozen records to JSON text and back, strictly: what is read is exactly what was declared.

The journal keeps results as JSON and not as pickles, so that an old or foreign file can never run
code and can be read by a person. Text of equal records is equal, so digests may be taken of it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
_Decoder = Callable[[Any], Any]


_LONGEST_NAME = 100  # characters


class DecodeError(ValueError):
    """The text is not a record of the wanted type; the message says where and why."""


def encode(record: object) -> str:
    """A frozen dataclass of scalars, strings, dates and tuples as one line of JSON.

    Floats survive to the bit, NaN and infinities included. Anything else (an array, a numpy
    integer, a list) is a programmer's mistake and raises TypeError.
    """
    return json.dumps(_plain(record), ensure_ascii=False, separators=(",", ":"))


def decode(kind: type[Record], text: str) -> Record:
    """The record that `encode` wrote; DecodeError where any field, name or type differs."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DecodeError(f"not JSON: {error}") from None
    return cast("Record", _decoder(cast("Any", kind))(value))


def _plain(value: object) -> object:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is tuple:
        items = cast("tuple[object, ...]", value)
        return items if _PLAIN.issuperset(map(type, items)) else [_plain(item) for item in items]
    names = _names(kind)  # type: ignore[arg-type]
    if names is not None:
        return {name: _plain(getattr(value, name)) for name in names}
    match value:
        case bool() | int() | float() | str():
            return value
        case datetime() | date():
            return value.isoformat()
        case tuple():
            return [_plain(item) for item in value]
        case _:
            raise TypeError(f"records hold no {kind.__module__}.{kind.__qualname__}")


_PLAIN = frozenset({type(None), bool, int, float, str})


@cache
def _names(kind: type) -> tuple[str, ...] | None:
    """Names of a dataclass's fields; None of anything else."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


@cache
def _decoder(annotation: Any) -> _Decoder:
    """The function that reads one declared type; built once per type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if dataclasses.is_dataclass(annotation):
        return _dataclass_decoder(cast("type[Any]", annotation))
    if origin is tuple:
        return _tuple_decoder(arguments)
    if origin in (Union, types.UnionType):
        return _union_decoder(arguments)
    if origin is Literal:
        return _literal_decoder(arguments)
    try:
        return _SCALARS[annotation]
    except KeyError:
        raise TypeError(f"records hold no {annotation}") from None


def _dataclass_decoder(kind: type[Any]) -> _Decoder:
    hints = get_type_hints(kind)
    fields = {field.name: _decoder(hints[field.name]) for field in dataclasses.fields(kind)}
    wanted = fields.keys()

    def read(value: Any) -> Any:
        if not isinstance(value, dict) or value.keys() != wanted:
            found = ", ".join(value) if isinstance(value, dict) else type(value).__name__
            raise DecodeError(f"{kind.__name__}: wanted {', '.join(wanted)}; found {found}")
        try:
            return kind(**{name: fields[name](item) for name, item in value.items()})
        except DecodeError as error:
            raise DecodeError(f"{kind.__name__}: {error}") from None

    return read


def _tuple_decoder(arguments: tuple[Any, ...]) -> _Decoder:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _decoder(arguments[0])

        def read_any(value: Any) -> Any:
            if item is _float and _FLOAT.issuperset(map(type, _list(value))):
                return tuple(value)  # long ones are of numbers
            return tuple(item(each) for each in _list(value))

        return read_any
    items = tuple(_decoder(argument) for argument in arguments)

    def read(value: Any) -> Any:
        if len(_list(value)) != len(items):
            raise DecodeError(f"wanted {len(items)} items, found {len(value)}")
        return tuple(item(each) for item, each in zip(items, value, strict=True))

    return read


def _union_decoder(arguments: tuple[Any, ...]) -> _Decoder:
    optional = type(None) in arguments
    choices = tuple(_decoder(argument) for argument in arguments if argument is not type(None))

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        reasons = []
        for choice in choices:
            try:
                return choice(value)
            except DecodeError as error:
                reasons.append(str(error))
        raise DecodeError(" or ".join(reasons))

    return read


def _literal_decoder(arguments: tuple[Any, ...]) -> _Decoder:
    def read(value: Any) -> Any:
        # True == 1 in Python: the type is compared too.
        if any(type(value) is type(each) and value == each for each in arguments):
            return value
        raise DecodeError(f"wanted one of {arguments}, found {value!r}")

    return read


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise DecodeError(f"wanted a list, found {type(value).__name__}")
    return value


def _exactly(kind: type[Any]) -> _Decoder:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise DecodeError(f"wanted {kind.__name__}, found {value!r}")
        return value

    return read


def _float(value: Any) -> float:
    if type(value) not in (int, float):
        raise DecodeError(f"wanted a number, found {value!r}")
    return float(value)


def _moment(kind: type[date] | type[datetime]) -> _Decoder:
    def read(value: Any) -> Any:
        try:
            return kind.fromisoformat(value)
        except (TypeError, ValueError):
            raise DecodeError(f"wanted an ISO {kind.__name__}, found {value!r}") from None

    return read


def _text(value: Any) -> str:
    if type(value) is not str:
        raise DecodeError(f"wanted str, found {value!r}")
    # The same few names stand in every record: kept once, a hundred thousand records are small.
    return sys.intern(value) if len(value) <= _LONGEST_NAME else value


_FLOAT = frozenset({float})
_SCALARS: dict[Any, _Decoder] = {
    str: _text,
    bool: _exactly(bool),
    int: _exactly(int),
    float: _float,
    date: _moment(date),
    datetime: _moment(datetime),
}
