"""A page on which a slider goes from the backbone of an OC-DFG to all of it; nothing is loaded from elsewhere."""

from __future__ import annotations

from typing import Final

import polars as pl

from ocelake.draw.arcs import arcs_of
from ocelake.draw.ocdfg import draw_ocdfg, is_readable
from ocelake.draw.svg import xml_text
from ocelake.mining.ocdfg_filter import filter_ocdfg

__all__ = ["explore_page"]

_SHARES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
_MOST: Final = 400
"""Arcs beyond which nobody would look: the page, and the time to lay it out, stay small."""

_STYLE: Final = """
body { margin: 0; font: 14px Helvetica, Arial, sans-serif; color: #1f2933; }
form { position: sticky; top: 0; padding: 12px 20px; background: #fff; border-bottom: 1px solid #d9dee4; }
input { width: 320px; vertical-align: middle; }
section { display: none; overflow-x: auto; }
section.shown { display: block; }
"""

_SCRIPT: Final = """
const slider = document.querySelector("input");
const pictures = document.querySelectorAll("section");
const show = () => {
  pictures.forEach((picture, place) => picture.classList.toggle("shown", place == slider.value));
  document.querySelector("output").textContent = pictures[slider.value].dataset.words;
};
slider.addEventListener("input", show);
show();
"""


def explore_page(nodes: pl.DataFrame, edges: pl.DataFrame, *, title: str) -> str:
    """Make an HTML page that shows an OC-DFG at the coverage that a slider is set to.

    A coverage that shows the same as a lower one is left out, and so is one of more than 400 arcs, unless it is the
    lowest. The page opens at the greatest coverage that stays readable.

    Parameters
    ----------
    nodes, edges : DataFrame
        As `gold.ocdfg_nodes` and `gold.ocdfg_edges`.
    title : str
        The page's title, such as the log's name.

    Returns
    -------
    str
        An HTML document; the same for the same frames in any order.

    Examples
    --------
    >>> nodes = pl.DataFrame(
    ...     {
    ...         "object_type": [None, "order"],
    ...         "activity": ["place", "place"],
    ...         "events": [3, 3],
    ...         "start_objects": [None, 3],
    ...         "end_objects": [None, 3],
    ...     }
    ... )
    >>> edges = {"object_type": str, "source": str, "target": str, "total_objects": int, "duration_mean": float}
    >>> explore_page(nodes, pl.DataFrame(schema=edges), title="shop").count("<svg")
    1
    """
    pictures: dict[int, tuple[str, str]] = {}
    opened = 0
    for share in _SHARES:
        kept = filter_ocdfg(nodes, edges, coverage=share)
        arcs = len(arcs_of(*kept))
        if arcs <= _MOST or not pictures:
            # More coverage never shows less: as many arcs are the same arcs.
            words = f"{share:.0%} of each type's flow"
            drawn = pictures[arcs][1] if arcs in pictures else draw_ocdfg(nodes, edges, coverage=share)
            pictures[arcs] = words, drawn
            opened = len(pictures) - 1 if is_readable(*kept) else opened
    sections = "\n".join(
        f'<section data-words="{words}" class="{"shown" if place == opened else ""}">{svg}</section>'
        for place, (words, svg) in enumerate(pictures.values())
    )
    slider = f'<input type="range" min="0" max="{len(pictures) - 1}" value="{opened}" aria-label="Coverage">'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{xml_text(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n"
        f"<form>Fewer edges {slider} more edges &nbsp; <output></output></form>\n"
        f"{sections}\n<script>{_SCRIPT}</script>\n</body>\n</html>\n"
    )
