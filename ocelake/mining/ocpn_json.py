"""A whole model as one JSON document: the nets, how they are glued, and where they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ocelake.errors import OcelakeError
from ocelake.mining.petri_nets import AcceptingNet, Cardinality, Ocpn, Transition, canonical

__all__ = ["Model", "from_json", "model_id", "to_json"]

_FORMAT: Final = "ocelake.ocpn/1"


@dataclass(frozen=True, slots=True)
class Model:
    """A net and where it comes from.

    Attributes
    ----------
    ocpn : Ocpn
    version : int
        Publications of the log's models so far.
    publication_id : str
        The silver publication that the net was mined from.
    parameters : mapping of str to object
        The miner's parameters; JSON values.
    """

    ocpn: Ocpn
    version: int
    publication_id: str
    parameters: Mapping[str, object]

    @property
    def model_id(self) -> str:
        """See `model_id`."""
        return model_id(self.ocpn, self.parameters)


def model_id(ocpn: Ocpn, parameters: Mapping[str, object]) -> str:
    """Give the stable id of a net and the parameters it was mined with: 16 hex digits, the same in every run.

    The order of places, transitions and nets does not matter; their names do.

    Examples
    --------
    >>> model_id(Ocpn((), {}), {"fall_throughs": False}) == model_id(Ocpn((), {}), {"fall_throughs": False})
    True
    """
    content = json.dumps([_content(ocpn), parameters], sort_keys=True)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def to_json(model: Model) -> str:
    """Write a model.

    Examples
    --------
    >>> model = Model(Ocpn((), {}), 1, "shop.silver.1", {})
    >>> from_json(to_json(model)) == model
    True
    """
    document = {
        "format": _FORMAT,
        "model_id": model.model_id,
        "version": model.version,
        "publication_id": model.publication_id,
        "parameters": dict(model.parameters),
        **_content(model.ocpn),
    }
    return json.dumps(document, ensure_ascii=False, indent=1)


def from_json(text: str | bytes) -> Model:
    """Read a model.

    Returns
    -------
    Model
        The one that was written, its net in canonical order.

    Raises
    ------
    OcelakeError
        Where the text is no such document, or is not what its id says.

    Examples
    --------
    >>> from_json("{}")
    Traceback (most recent call last):
    ocelake.errors.OcelakeError: The text is no model in the format 'ocelake.ocpn/1'. Export the model again.
    """
    try:
        document = json.loads(text)
        if document["format"] != _FORMAT:
            raise ValueError(document["format"])
        ocpn = Ocpn(
            tuple(_net(net) for net in document["nets"]),
            {
                (found["object_type"], found["activity"]): Cardinality(
                    found["variable"], found["minimum"], found["maximum"]
                )
                for found in document["cardinalities"]
            },
        )
        model = Model(canonical(ocpn), document["version"], document["publication_id"], document["parameters"])
        stored = document["model_id"]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise OcelakeError(f"The text is no model in the format {_FORMAT!r}.", fix="Export the model again.") from error
    if stored != model.model_id:
        raise OcelakeError(
            f"The model's content has the id {model.model_id}, not {stored} as it says.",
            fix="It was changed after it was written: export it again.",
        )
    return model


def _content(ocpn: Ocpn) -> dict[str, Any]:
    ocpn = canonical(ocpn)
    return {
        "nets": [
            {
                "object_type": net.object_type,
                "places": [
                    {"name": name, "initial": initial, "final": final}
                    for name, initial, final in zip(net.places, net.initial, net.final, strict=True)
                ],
                "transitions": [
                    {
                        "name": transition.name,
                        "label": transition.label,
                        "inputs": [net.places[place] for place in transition.inputs],
                        "outputs": [net.places[place] for place in transition.outputs],
                    }
                    for transition in net.transitions
                ],
            }
            for net in ocpn.nets
        ],
        "cardinalities": [
            {
                "object_type": object_type,
                "activity": activity,
                "variable": found.variable,
                "minimum": found.minimum,
                "maximum": found.maximum,
            }
            for (object_type, activity), found in ocpn.cardinalities.items()
        ],
    }


def _net(net: Mapping[str, Any]) -> AcceptingNet:
    places = {place["name"]: position for position, place in enumerate(net["places"])}
    return AcceptingNet(
        net["object_type"],
        tuple(places),
        tuple(
            Transition(
                transition["name"],
                transition["label"],
                tuple(sorted(places[name] for name in transition["inputs"])),
                tuple(sorted(places[name] for name in transition["outputs"])),
            )
            for transition in net["transitions"]
        ),
        initial=tuple(place["initial"] for place in net["places"]),
        final=tuple(place["final"] for place in net["places"]),
    )
