"""Typed attribute elements (``<string key value/>`` and its like), which OCEL 1.0 XML and XES share.

How a tree of them becomes one attribute value: its native type, and JSON text where it is nested.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from ocelake.ocel.values import value_type
from ocelake.ocel.xml_stream import Walker

__all__ = ["TYPED", "Typed", "TypedWalker", "parses"]

TYPED: Final = dict.fromkeys(("string", "date", "int", "float", "boolean", "id", "list", "container"), "typed")
"""The elements, as children in a grammar."""

_INTEGER: Final = re.compile(r"\s*[+-]?\d{1,18}\s*")
_LIST_KEYS: Final = frozenset({"item", "value", "element"})


@dataclass(slots=True)
class Typed:
    """One typed attribute: its element's name, key and value, and the ones inside of it."""

    element: str
    key: str | None
    value: str | None
    inner: list[Typed]

    def kind(self) -> str:
        """Give the value type: of a nested value list or map."""
        if self.element == "list":
            return "list" if isinstance(self.plain(), list) else "map"
        return "map" if self.inner else value_type(self.element) if self.element != "id" else "string"

    def text(self) -> str | None:
        """Give the value as text: of a nested value its JSON text."""
        if self.inner or self.element in ("list", "container"):
            return orjson.dumps(self.plain()).decode()
        return self.value

    def plain(self) -> Any:
        """Give the value as JSON has it.

        A list is a list where its members share a key (in XES: where it has ``<values>``), else a map, as a container
        is; members of one key in a map become a list there. What is inside of an atomic value goes beside it:
        ``{"value": ..., "attributes": {...}}``.
        """
        if self.element == "container":
            return _mapping(self.inner)
        if self.element == "list":
            return self._members()
        value = _atom(self.element, self.value)
        return {"value": value, "attributes": _mapping(self.inner)} if self.inner else value

    def _members(self) -> Any:
        blocks = [one for one in self.inner if one.element == "values"]
        if blocks:
            values = [{one.key: one.plain()} for block in blocks for one in block.inner]
            beside = [one for one in self.inner if one.element != "values"]
            return {"values": values, "attributes": _mapping(beside)} if beside else values
        keys = {one.key for one in self.inner}
        if not keys or (len(keys) == 1 and (len(self.inner) > 1 or keys <= _LIST_KEYS | {self.key})):
            return [one.plain() for one in self.inner]
        return _mapping(self.inner)


class TypedWalker(Walker):
    """A walker whose grammar has typed attributes in the state ``typed``; each outermost one is given to `typed`."""

    open: list[Typed]

    def typed(self, one: Typed) -> None:
        """Take an attribute whose element has ended; `state` is still that of the element."""
        raise NotImplementedError

    def enter_typed(self, name: str, attributes: dict[str, str]) -> None:
        """Begin an attribute."""
        one = Typed(name.rpartition(":")[2], attributes.get("key"), attributes.get("value"), [])
        if self.open:
            self.open[-1].inner.append(one)
        self.open.append(one)

    def leave_typed(self) -> None:
        """End an attribute."""
        one = self.open.pop()
        if not self.open:
            self.typed(one)


def parses(element: str, value: str) -> bool:
    """Tell whether a value's text is one of its element's type (dates apart)."""
    if element == "int":
        return _INTEGER.fullmatch(value) is not None
    if element == "float":
        return isinstance(_atom(element, value), float)
    return element != "boolean" or isinstance(_atom(element, value), bool)


def _atom(element: str, value: str | None) -> Any:
    if value is None:
        return None
    if element == "int" and _INTEGER.fullmatch(value):
        return int(value)
    if element == "float":
        try:
            number = float(value)
        except ValueError:
            return value
        return number if math.isfinite(number) else value
    if element == "boolean" and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    return value


def _mapping(members: list[Typed]) -> dict[str, Any]:
    values: dict[str, list[Any]] = {}
    for one in members:
        values.setdefault(one.key or "", []).append(one.plain())
    return {key: found[0] if len(found) == 1 else found for key, found in values.items()}
