"""XML opened with care: the only door to lxml, for files that anyone may have written."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cytosepsis.errors import GatingError

MAX_BYTES = 256 * 2**20  # workspaces of thousands of samples stay below; a bomb need not be read

GATING = "{http://www.isac-net.org/std/Gating-ML/v2.0/gating}"
TRANSFORMS = "{http://www.isac-net.org/std/Gating-ML/v2.0/transformations}"
DATA_TYPE = "{http://www.isac-net.org/std/Gating-ML/v2.0/datatypes}"
NOTES = "{urn:cytosepsis:gating}"  # ours, where the standard has no word and lets us add one
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"

Element = Any  # lxml ships no types


def read_markup(path: Path) -> Element:
    """Root element of an XML file, without comments and schema locations.

    Nothing outside the file is opened: no network, no entities, no document type; schema locations
    are removed, since a validator would follow them.

    Raises
    ------
    GatingError
        The file cannot be read, is too large, is not XML, or has a document type.
    """
    from lxml import etree  # noqa: PLC0415  (only where XML is read)

    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise GatingError(
                f"the file has {size:,} bytes; at most {MAX_BYTES:,} are read", file=str(path)
            )
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise GatingError(f"the plan cannot be read: {reason}", file=str(path)) from None
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise GatingError(f"the file is not well-formed XML: {error.msg}", file=str(path)) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise GatingError(
            "the file has a document type (<!DOCTYPE>), which no gating plan needs; remove it",
            file=str(path),
        )
    for element in root.iter():
        for name in ("schemaLocation", "noNamespaceSchemaLocation"):
            element.attrib.pop(_XSI + name, None)
    return root


def as_file(root: Element) -> io.BytesIO:
    """Return what was checked as an open file, for a parser that would read the path again."""
    from lxml import etree  # noqa: PLC0415

    return io.BytesIO(etree.tostring(root, encoding="utf-8", xml_declaration=True))


def new_root(tag: str) -> Element:
    """Return a new root element, with prefixes for the namespaces of Gating-ML and ours."""
    from lxml import etree  # noqa: PLC0415

    spaces = {"gating": GATING, "transforms": TRANSFORMS, "data-type": DATA_TYPE, "notes": NOTES}
    return etree.Element(tag, nsmap={prefix: space[1:-1] for prefix, space in spaces.items()})


def add(parent: Element, tag: str, namespace: str = "", /, **attributes: str | None) -> Element:
    """Append an element whose attributes, as far as they are given, are of one namespace.

    `_` in the name of an attribute stands for `-`, and `__` for `_`.
    """
    element = parent.makeelement(tag)
    for key, value in attributes.items():
        if value is not None:
            name = "_".join(part.replace("_", "-") for part in key.split("__"))
            try:
                element.set(namespace + name, value)
            except ValueError:
                raise GatingError(f"{value!r} holds a character that XML has not") from None
    parent.append(element)
    return element


def markup_text(root: Element) -> bytes:
    """Return a document as it is written: indented, UTF-8."""
    from lxml import etree  # noqa: PLC0415

    etree.indent(root)
    text: bytes = etree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def local_name(element: Element) -> str:
    """Name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def named(elements: Iterable[Element]) -> list[str]:
    """`data-type:name` of each element, blanks around it removed."""
    return [str(element.get(DATA_TYPE + "name", "")).strip() for element in elements]
