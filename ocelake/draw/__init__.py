"""Diagrams and plots: frames to SVG text, the same text for the same frames."""

from __future__ import annotations

from ocelake.draw.dotted_chart import draw_dotted_chart
from ocelake.draw.execution_variants import draw_execution_variants
from ocelake.draw.explore import explore_page
from ocelake.draw.ocdfg import draw_ocdfg
from ocelake.draw.ocpn import draw_ocpn, lay_out_ocpn
from ocelake.draw.performance_spectrum import draw_performance_spectrum
from ocelake.draw.price_bars import draw_price_bars
from ocelake.draw.timeline import draw_timeline
from ocelake.draw.variants import draw_variants
from ocelake.draw.waiting import draw_waiting_heat_map

__all__ = [
    "draw_dotted_chart",
    "draw_execution_variants",
    "draw_ocdfg",
    "draw_ocpn",
    "draw_performance_spectrum",
    "draw_price_bars",
    "draw_timeline",
    "draw_variants",
    "draw_waiting_heat_map",
    "explore_page",
    "lay_out_ocpn",
]
