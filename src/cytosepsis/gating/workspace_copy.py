"""A FlowJo workspace reduced to what a plan is made from: no keywords, notes, paths or people.

A list of what to keep fails safe: an element or attribute that nobody has thought of is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cytosepsis.errors import GatingError
from cytosepsis.gating.markup import Element, local_name, markup_text, read_markup
from cytosepsis.gating.workspace import OPERATORS, check_version, choose, keywords_of, nodes_of

# Local names; every value of these attributes is a number, a channel or a population.
_OF_WORKSPACE = ("version", "flowJoVersion")
_OF_POPULATION = ("name", "count")
_OF_MATRIX = ("prefix", "suffix", "spectral", "weightOptAlgorithmType")
_OF_GEOMETRY = (
    *("name", "parameter", "value", "min", "max", "distance", "eventsInside"),
    *("T", "W", "M", "A", "gain", "minRange", "maxRange", "length", "neg", "width", "pos"),
    *("offset", "decades"),
)


def reduced_workspace(path: str | Path, names: Sequence[tuple[str, str]]) -> bytes:
    """Give a workspace of some samples alone, by pairs of a sample's file name and its new name.

    A sample that the workspace does not have is left out, as it has no plan in the original.
    """
    markup = read_markup(Path(path))
    check_version(markup)
    root = _kept(markup, _OF_WORKSPACE)
    root.append(root.makeelement("Groups"))
    samples = root.makeelement("SampleList")
    root.append(samples)
    matrices: dict[str, str] = {}
    for number, (original, new) in enumerate(names, start=1):
        try:
            sample = choose(markup, original)
            nodes_of(sample)
        except GatingError:
            continue
        samples.append(_sample(sample, new, str(number), matrices))
    return markup_text(root)


def _sample(sample: Element, name: str, number: str, matrices: dict[str, str]) -> Element:
    make = sample.makeelement
    copy = make("Sample")
    copy.append(make("DataSet", {"uri": name, "sampleID": number}))
    for child in sample:
        match local_name(child):
            case "spilloverMatrix":
                matrix = _copied(child, _OF_GEOMETRY)
                matrix.attrib.update(_attributes(child, _OF_MATRIX))
                # A matrix bears the name of who made it, or of the experiment.
                given = str(child.get("name", ""))
                matrix.set("name", matrices.setdefault(given, f"matrix {len(matrices) + 1}"))
                copy.append(matrix)
            case "Transformations":
                copy.append(_copied(child, _OF_GEOMETRY))
    keywords = make("Keywords")
    for key, value in keywords_of(sample).items():
        if key.startswith("$P") and key.endswith("N") and key[2:-1].isdecimal():
            keywords.append(make("Keyword", {"name": key, "value": value}))
    copy.append(keywords)
    node = sample.find("SampleNode")
    tree = make("SampleNode", {"name": name, "sampleID": number, **_attributes(node, ("count",))})
    tree.extend(_populations(node))
    copy.append(tree)
    return copy


def _populations(node: Element) -> Iterator[Element]:
    for populations in node.findall("Subpopulations"):
        copy = node.makeelement("Subpopulations")
        for child in populations:
            if local_name(child) != "Population" and local_name(child) not in OPERATORS:
                continue
            population = _kept(child, _OF_POPULATION)
            population.set("owningGroup", "")
            for part in child:
                if local_name(part) in {"Gate", "Dependents"}:
                    population.append(_copied(part, _OF_GEOMETRY))
            population.extend(_populations(child))
            copy.append(population)
        yield copy


def _copied(element: Element, names: Sequence[str]) -> Element:
    """Copy an element and what it holds, with these attributes only and without text."""
    copy = _kept(element, names)
    copy.extend(_copied(child, names) for child in element)
    return copy


def _kept(element: Element, names: Sequence[str]) -> Element:
    return element.makeelement(element.tag, _attributes(element, names), nsmap=element.nsmap)


def _attributes(element: Element, names: Sequence[str]) -> Mapping[str, str]:
    return {
        key: value for key, value in element.attrib.items() if str(key).rpartition("}")[2] in names
    }
