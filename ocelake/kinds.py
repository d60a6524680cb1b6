"""What can be drawn of a log; a module of its own, so that the command line can list it without loading an engine."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Kind"]


class Kind(StrEnum):
    """A kind of picture."""

    ocdfg = "ocdfg"
    ocpn = "ocpn"
    variants = "variants"
    executions = "executions"
    timeline = "timeline"
    dotted = "dotted"
    spectrum = "spectrum"
    waiting = "waiting"
    slider = "slider"
