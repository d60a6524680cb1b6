"""What the colours of areas mean, in pictures of events over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ocelake.draw.svg import rectangle, shorten, text, text_width

__all__ = ["OTHER_FILL", "legend_of_areas"]

OTHER_FILL: Final = "#c3ccd6"

_WIDTH: Final = 1000


def legend_of_areas(
    parts: list[str], names: Sequence[str | None], fills: Mapping[str | None, str], others: int, y: float = 80.0
) -> float:
    """Draw what the colours mean (None: other activities); give where it ends.

    Examples
    --------
    >>> parts: list[str] = []
    >>> legend_of_areas(parts, ["place", None], {"place": "#0072b2", None: OTHER_FILL}, 4)
    80.0
    >>> len(parts)
    4
    """
    x = 20.0
    for name in names:
        words = shorten(name, 200, 12) if name is not None else f"{others:,} other activities"
        width = 20 + text_width(words, 12) + 20
        if x > 20 and x + width > _WIDTH - 20:
            x, y = 20.0, y + 20
        parts.append(rectangle(x, y - 10, 12, 12, rx=2, fill=fills[name]))
        parts.append(text(x + 18, y, words, size=12, title=name))
        x += width
    return y
