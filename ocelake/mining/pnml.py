"""One type's net as PNML, as pm4py and ProM write and read it.

PNML has no final marking and no silent transition of its own: both are written in the way of ProM, an element
``finalmarkings`` and the activity ``$invisible$`` for the tool ProM. It has no variable arcs either: the whole model
goes into JSON (`ocelake.mining.ocpn_json`).

References
----------
ISO/IEC 15909-2:2011, High-level Petri nets, part 2: transfer format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from ocelake.errors import ExportRefused, OcelakeError
from ocelake.mining.petri_nets import AcceptingNet, Transition, canonical_net

__all__ = ["from_pnml", "to_pnml"]

_TYPE: Final = "http://www.pnml.org/version-2009/grammar/pnmlcoremodel"
_INVISIBLE: Final = "$invisible$"
_NO_XML: Final = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_pnml(net: AcceptingNet) -> str:
    """Write a net.

    Returns
    -------
    str
        PNML with the object type as the net's name; places, then transitions, then arcs, in the order of the net.

    Raises
    ------
    ExportRefused
        Where a name holds a character that XML cannot.

    Examples
    --------
    >>> pay = Transition("pay", "pay", inputs=(1,), outputs=(0,))
    >>> net = AcceptingNet("order", ("sink", "source"), (pay,), initial=(0, 1), final=(1, 0))
    >>> from_pnml(to_pnml(net)) == net
    True
    """
    root = ET.Element("pnml")
    element = ET.SubElement(root, "net", id="net", type=_TYPE)
    _write_text(element, "name", net.object_type)
    page = ET.SubElement(element, "page", id="page")
    places = [f"place{n}" for n in range(len(net.places))]
    for place, name, tokens in zip(places, net.places, net.initial, strict=True):
        node = ET.SubElement(page, "place", id=place)
        _write_text(node, "name", name)
        if tokens:
            _write_text(node, "initialMarking", str(tokens))
    arcs: list[tuple[str, str]] = []
    for n, transition in enumerate(net.transitions):
        node = ET.SubElement(page, "transition", id=f"transition{n}")
        _write_text(node, "name", transition.name if transition.label is None else transition.label)
        if transition.label is None:
            ET.SubElement(node, "toolspecific", tool="ProM", version="6.4", activity=_INVISIBLE)
        arcs += [(places[place], f"transition{n}") for place in transition.inputs]
        arcs += [(f"transition{n}", places[place]) for place in transition.outputs]
    for n, (source, target) in enumerate(arcs):
        ET.SubElement(page, "arc", id=f"arc{n}", source=source, target=target)
    marking = ET.SubElement(ET.SubElement(element, "finalmarkings"), "marking")
    for place, tokens in zip(places, net.final, strict=True):
        if tokens:
            ET.SubElement(ET.SubElement(marking, "place", idref=place), "text").text = str(tokens)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def from_pnml(text: str | bytes) -> AcceptingNet:
    """Read a net that this project, pm4py or ProM wrote.

    Pages and namespaces do not matter. Places and silent transitions are named by their names, visible ones by their
    labels; where two have the same, all are named by their ids.

    Returns
    -------
    AcceptingNet
        In canonical order. The object type is the net's name.

    Raises
    ------
    OcelakeError
        Where the text is no PNML with one net, or an arc has a weight other than one.

    Examples
    --------
    >>> from_pnml("<pnml/>")
    Traceback (most recent call last):
    ocelake.errors.OcelakeError: The text is no PNML: it holds 0 nets, not one. Give a PNML file with one net.
    """
    fix = "Give a PNML file with one net."
    try:
        root = ET.fromstring(text)  # noqa: S314  # expat refuses entities that multiply
    except (ET.ParseError, LookupError) as error:  # an encoding that nobody knows is a LookupError
        raise OcelakeError(f"The text is no PNML: {error}.", fix=fix) from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    nets = root.findall("net")
    if len(nets) != 1:
        raise OcelakeError(f"The text is no PNML: it holds {len(nets)} nets, not one.", fix=fix)
    try:
        return canonical_net(_net(nets[0]))
    except ValueError as error:
        raise OcelakeError(f"A number in the PNML cannot be read: {error}.", fix="Correct the file.") from error


def _net(net: ET.Element) -> AcceptingNet:
    final = {
        place.get("idref"): int(place.findtext("text", "0")) for place in net.iterfind("finalmarkings/marking/place")
    }
    nodes = [node for page in _pages(net) for node in page]
    places = {node.get("id", ""): node for node in nodes if node.tag == "place"}
    position = {place: n for n, place in enumerate(places)}
    steps = {node.get("id", ""): node for node in nodes if node.tag == "transition"}
    inputs: dict[str, set[int]] = {step: set() for step in steps}
    outputs: dict[str, set[int]] = {step: set() for step in steps}
    for node in nodes:
        if node.tag == "arc":
            _read_arc(node, position, inputs, outputs)
    return AcceptingNet(
        _read_text(net, "name", net.get("id", "")),
        tuple(_names(places)),
        tuple(
            Transition(
                name,
                None if _silent(node) else _read_text(node, "name", step),
                tuple(sorted(inputs[step])),
                tuple(sorted(outputs[step])),
            )
            for name, (step, node) in zip(_names(steps), steps.items(), strict=True)
        ),
        initial=tuple(int(_read_text(node, "initialMarking", "0")) for node in places.values()),
        final=tuple(final.get(place, 0) for place in places),
    )


def _pages(net: ET.Element) -> Iterator[ET.Element]:
    """Give the net, which holds the nodes itself in old files, and its pages."""
    yield net
    yield from net.iter("page")


def _read_arc(
    node: ET.Element, places: dict[str, int], inputs: dict[str, set[int]], outputs: dict[str, set[int]]
) -> None:
    source, target = node.get("source", ""), node.get("target", "")
    if _read_text(node, "inscription", "1").strip() != "1":
        raise OcelakeError(
            f"The arc from {source!r} to {target!r} has a weight other than one.", fix="Give a net without weights."
        )
    if source in places and target in inputs:
        inputs[target].add(places[source])
    elif source in outputs and target in places:
        outputs[source].add(places[target])
    else:
        raise OcelakeError(
            f"The arc from {source!r} to {target!r} is not between a place and a transition.", fix="Correct the file."
        )


def _silent(transition: ET.Element) -> bool:
    return any(tool.get("activity") == _INVISIBLE for tool in transition.iterfind("toolspecific"))


def _names(nodes: dict[str, ET.Element]) -> list[str]:
    names = [_read_text(node, "name", identifier) for identifier, node in nodes.items()]
    return names if len(set(names)) == len(names) else list(nodes)


def _read_text(node: ET.Element, child: str, default: str) -> str:
    return node.findtext(f"{child}/text", default)


def _write_text(node: ET.Element, child: str, text: str) -> None:
    if _NO_XML.search(text):
        raise ExportRefused(
            f"{text!r} holds a character that XML cannot.", fix="Rename it, or export the model as JSON."
        )
    ET.SubElement(ET.SubElement(node, child), "text").text = text
