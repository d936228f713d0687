"""FlowJo 10 workspaces: their samples, and one sample's tree of populations with its counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal
from urllib.parse import unquote

from cytosepsis.errors import GatingError
from cytosepsis.gating.markup import Element, local_name
from cytosepsis.gating.plan import ROOT

OPERATORS: dict[str, Literal["and", "or", "not"]] = {
    "AndNode": "and",
    "OrNode": "or",
    "NotNode": "not",
}
ADVICE = "Save the workspace again in FlowJo 10, or write the plan in TOML."
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class Node:
    """One population of the sample's tree; `key` is its path as FlowJo writes it."""

    key: str
    name: str
    parent: str  # key of the parent, "" at the root
    element: Element

    @property
    def count(self) -> int | None:
        """Events that FlowJo counted when it saved the workspace; None where it had not."""
        return stored_count(self.element)


def check_version(markup: Element) -> None:
    """Refuse what is no workspace of FlowJo 10 or later."""
    version = str(markup.get("flowJoVersion", ""))
    major = version.partition(".")[0]
    if local_name(markup) != "Workspace" or not major.isdecimal() or int(major) < 10:
        found = f"FlowJo {version}" if version else f"<{local_name(markup)}>"
        raise GatingError(f"a workspace of FlowJo 10 was expected, found {found}. {ADVICE}")


def _samples(markup: Element) -> list[Element]:
    return [s for s in markup.findall("SampleList/Sample") if s.find("SampleNode") is not None]


def _name_of(sample: Element) -> str:
    return str(sample.find("SampleNode").get("name", ""))


def keywords_of(sample: Element) -> dict[str, str]:
    """Keywords of a sample's file, as FlowJo has kept them."""
    return {
        str(keyword.get("name", "")): str(keyword.get("value", ""))
        for keyword in sample.findall("Keywords/Keyword")
    }


def _file_name(sample: Element) -> str:
    data_set = sample.find("DataSet")
    uri = "" if data_set is None else unquote(str(data_set.get("uri", "")))
    return PurePosixPath(uri).name


def choose(markup: Element, wanted: str | Sequence[str] | None) -> Element:
    """Find the one sample that is called so.

    `wanted` are names of one acquisition, or one `KEYWORD=VALUE` (`sampleID` is one, too). A name
    is looked for among the samples' names, then their `$FIL`, then the files they were loaded from.
    """
    samples = _samples(markup)
    names = [_name_of(sample) for sample in samples]
    listed = ", ".join(names[:_MAX_LISTED]) + (", …" if len(names) > _MAX_LISTED else "")
    if not samples:
        raise GatingError("the workspace has no samples")
    if wanted is None:
        if len(samples) > 1:
            raise GatingError(
                f"the workspace has {len(samples)} samples; say which one (sample=…): {listed}"
            )
        return samples[0]
    known = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    shown = " or ".join(map(repr, known))
    for what, found in _answers(samples, known):
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(s.find("SampleNode").get("sampleID")) for s in found)
            raise GatingError(
                f"{len(found)} samples of the workspace are called {shown} by their {what} (their "
                f"ids: {ids}); say which one by a keyword, e.g. sampleID={ids.partition(',')[0]}"
            )
    raise GatingError(f"no sample {shown} in the workspace; it has: {listed}")


def _answers(
    samples: Sequence[Element], known: Sequence[str]
) -> Iterator[tuple[str, list[Element]]]:
    """Say, for one way of telling samples apart after the other, which of them answer."""
    # PureWindowsPath knows both separators
    names = {*known, *(PureWindowsPath(name).name for name in known)} - {""}
    ways: tuple[tuple[str, Callable[[Element], str]], ...] = (
        ("name", _name_of),
        ("$FIL", lambda sample: keywords_of(sample).get("$FIL", "").strip()),
        ("file", _file_name),
    )
    for what, name_of in ways:
        yield what, [sample for sample in samples if name_of(sample) in names]
    for name in known:
        keyword, equals, value = (part.strip() for part in name.partition("="))
        if equals:
            yield (
                f"keyword {keyword}",
                [s for s in samples if _keyword_or_id(s, keyword) == value],
            )


def _keyword_or_id(sample: Element, keyword: str) -> str | None:
    if keyword == "sampleID":
        return str(sample.find("SampleNode").get("sampleID", ""))
    value = keywords_of(sample).get(keyword)
    return None if value is None else value.strip()


def nodes_of(sample: Element) -> dict[str, Node]:
    """Find the populations by key, each after its parent, in the order of the document."""
    nodes: dict[str, Node] = {}
    stack = [("", child) for child in _children(sample.find("SampleNode"))][::-1]
    while stack:
        parent, element = stack.pop()
        written = str(element.get("name", ""))
        key = f"{parent}/{written}" if parent else written
        if key in nodes:
            raise GatingError(
                f"two populations are called {key!r}; FlowJo tells them apart by their place, a "
                "plan does not: rename one in FlowJo"
            )
        nodes[key] = Node(key, written.replace("/", "_"), parent, element)
        stack += [(key, child) for child in _children(element)][::-1]
    return nodes


def _children(element: Element) -> Iterator[Element]:
    for populations in element.findall("Subpopulations"):
        for child in populations:
            if local_name(child) == "Population" or local_name(child) in OPERATORS:
                yield child


def paths_of(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Full path of each population in a plan, by key; that of the root under no key."""
    paths = {"": ROOT}
    for key, node in nodes.items():
        paths[key] = f"{paths[node.parent]}/{node.name}"
    return paths


def stored_count(element: Element) -> int | None:
    """`count` of a sample or population; FlowJo writes -1 where it has not counted."""
    text = str(element.get("count", "")).strip()
    return int(text) if text.isdecimal() else None
