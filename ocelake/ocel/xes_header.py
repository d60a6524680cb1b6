"""What stands in an XES log beside its traces and events, and whether it is in order.

XES as IEEE 1849-2016 has it. Logs in the wild are lax about their headers (attributes before extensions, no version),
and nothing is lost by that; so a header's faults refuse a log only where there is nothing else in it.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from ocelake.ocel.xml_typed import Typed, parses

__all__ = ["XesHeader"]

_ORDER: Final = ("extension", "global", "classifier", "attribute", "trace", "event")
_DATE: Final = re.compile(r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SCOPES: Final = (None, "trace", "event")
_KEYS: Final = re.compile(r"'([^']*)'|(\S+)")


class XesHeader:
    """The header as read so far.

    Attributes
    ----------
    metadata : dict of str to str
        Version, features, extensions, globals, classifiers and log attributes.
    globals : dict of str to (dict of str to str)
        Scope ("trace", "event") to attribute name to value type.
    classifier : tuple of str
        Attributes that the first event classifier joins to an activity.
    faults : list of str
        What is not as the standard has it.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.globals: dict[str, dict[str, str]] = {"trace": {}, "event": {}}
        self.classifier: tuple[str, ...] = ()
        self.faults: list[str] = []
        self._scope = "event"
        self._members = 0
        self._last = 0
        self._prefixes: set[str] = set()
        self._nested = False

    def place(self, kind: str) -> None:
        """Take note that an element of a kind of `_ORDER` begins in the log."""
        rank = _ORDER.index(kind)
        if rank < self._last:
            self.fault(f"<{kind}> comes after <{_ORDER[self._last]}>")
        self._last = max(self._last, rank)

    def fault(self, what: str) -> None:
        """Take note of a fault; of a long list the first ones are enough."""
        if len(self.faults) < 20:
            self.faults.append(what)

    def log(self, attributes: dict[str, str]) -> None:
        """Take the log's own XML attributes."""
        given = {name: value for name, value in attributes.items() if not name.startswith("xmlns")}
        self.metadata |= given
        self._nested = "nested-attributes" in given.get("xes.features", "").split()
        self._check("log", given, ("xes.version", "xes.features"))

    def extension(self, attributes: dict[str, str]) -> None:
        """Take an extension."""
        self.place("extension")
        self._check("extension", attributes, ("name", "prefix", "uri"))
        prefix = attributes.get("prefix", "")
        self._prefixes.add(prefix)
        self.metadata[f"extension:{prefix}"] = attributes.get("uri", "")

    def begin_global(self, attributes: dict[str, str]) -> None:
        """Take the start of a list of global attributes."""
        self.place("global")
        self._check("global", attributes, (), ("scope",))
        scope = attributes.get("scope")
        if scope not in _SCOPES:
            self.fault(f"<global> has the scope {scope!r}")
        self._scope, self._members = scope or "event", 0

    def global_attribute(self, one: Typed) -> None:
        """Take one global attribute."""
        self._members += 1
        self._attribute(one)
        self.metadata[f"global:{self._scope}:{one.key or ''}"] = one.text() or ""
        if one.key is not None and self._scope in self.globals:
            self.globals[self._scope][one.key] = one.kind()

    def end_global(self) -> None:
        """Take the end of a list of global attributes."""
        if not self._members:
            self.fault("<global> has no attribute")

    def add_classifier(self, attributes: dict[str, str]) -> None:
        """Take a classifier."""
        self.place("classifier")
        self._check("classifier", attributes, ("name", "keys"), ("scope",))
        scope, text = attributes.get("scope"), attributes.get("keys", "")
        if scope not in _SCOPES:
            self.fault(f"<classifier> has the scope {scope!r}")
        known = self.globals.get(scope or "event", {})
        keys = (text,) if text in known else tuple(quoted or plain for quoted, plain in _KEYS.findall(text))
        if not keys:
            self.fault("<classifier> has no keys")
        for key in keys:
            if key not in known:
                self.fault(f"<classifier> has the key {key!r}, which is no global attribute")
        if scope in (None, "event") and not self.classifier:
            self.classifier = keys
        self.metadata[f"classifier:{attributes.get('name', '')}"] = text

    def log_attribute(self, one: Typed) -> None:
        """Take an attribute of the log."""
        self._attribute(one)
        self.metadata[f"attribute:{one.key or ''}"] = one.text() or ""

    def _attribute(self, one: Typed) -> None:
        if one.element == "values":
            for member in one.inner:
                self._attribute(member)
            return
        nested = one.element in ("list", "container")
        if one.key is None or (one.value is None and not nested):
            self.fault(f"<{one.element}> has no {'key' if one.key is None else 'value'}")
        elif not nested and one.value is not None and not _is_one(one.element, one.value):
            self.fault(f"<{one.element} key={one.key!r}> has the value {one.value!r}")
        prefix, colon, _ = (one.key or "").partition(":")
        if colon and prefix not in self._prefixes:
            self.fault(f"no extension has the prefix of the key {one.key!r}")
        if one.element == "list" and [inner.element for inner in one.inner if inner.element == "values"] != ["values"]:
            self.fault(f"<list key={one.key!r}> has no <values>, or several")
        elif one.element == "list" and one.inner[-1].element != "values":
            self.fault(f"<list key={one.key!r}> has attributes after its <values>")
        elif one.inner and not nested and not self._nested:
            self.fault(f"the attribute {one.key!r} has attributes, a feature that the log does not declare")
        for inner in one.inner:
            self._attribute(inner)

    def _check(self, element: str, given: dict[str, str], needed: tuple[str, ...], more: tuple[str, ...] = ()) -> None:
        for name in needed:
            if name not in given:
                self.fault(f"<{element}> has no {name!r}")
        for name in given:
            if name not in needed and name not in more:
                self.fault(f"<{element}> has an attribute {name!r}, which XES does not know")


def _is_one(element: str, value: str) -> bool:
    if element == "date":
        return _DATE.fullmatch(value.strip()) is not None
    if element == "id":
        try:
            uuid.UUID(value)
        except ValueError:
            return False
    return parses(element, value)
