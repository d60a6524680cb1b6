"""Diagrams and plots: frames to SVG text, the same text for the same frames."""

from __future__ import annotations

from ocelake.draw.ocdfg import draw_ocdfg
from ocelake.draw.ocpn import draw_ocpn, lay_out_ocpn
from ocelake.draw.timeline import draw_timeline
from ocelake.draw.variants import draw_variants

__all__ = ["draw_ocdfg", "draw_ocpn", "draw_timeline", "draw_variants", "lay_out_ocpn"]
