"""What a feature is called and means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["FeatureColumn"]


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One feature.

    Attributes
    ----------
    name : str
        Unique among the features of an object type.
    kind : {"number", "category"}
        A number (null: there is none), or a text of which only equality counts.
    doc : str
        What it says, with its unit.
    """

    name: str
    kind: Literal["number", "category"]
    doc: str
