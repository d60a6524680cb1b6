"""Pictures of a training: how far it is to be trusted, where it errs, and what it goes by."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ocelake.models.tasks import PRIMARY
from ocelake.models.train import Trained

__all__ = ["plot_training"]

_OURS: Final = "#1f5fa8"
_THEIRS: Final = "#b3541e"
_QUIET: Final = "#8a8f98"
_TOLD: Final = 15
_LONG: Final = 48
"""Letters: a name that has more leaves no place for what is drawn."""

_FEWEST: Final = 10
"""A point of fewer prefixes says nothing."""


def plot_training(found: Trained) -> dict[str, Figure]:
    """Draw calibration, the error by length of prefix, and the importance of features."""
    return {"calibration": _calibration(found), "by_length": _by_length(found), "importance": _importance(found)}


def _axes(width: float, height: float, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e8eb", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _named(found: Trained) -> str:
    return f"{_cut(found.task.name)} of {_cut(found.task.object_type)}"


def _cut(name: str) -> str:
    """Leave out the middle of a long name."""
    half = _LONG // 2
    return name if len(name) <= _LONG else f"{name[:half]}…{name[-half:]}"


def _calibration(found: Trained) -> Figure:
    figure, axes = _axes(5, 4.5, f"Calibration, {_named(found)}")
    table = found.calibration.filter(pl.col("rows") >= _FEWEST)
    axes.plot([0, 1], [0, 1], color=_QUIET, linestyle="--", linewidth=1, label="as it should be")
    size = 20 + 180 * (table["rows"] / table["rows"].max()).to_numpy()
    axes.plot(table["claimed"], table["seen"], color=_OURS, linewidth=1.5)
    axes.scatter(table["claimed"], table["seen"], s=size, color=_OURS, alpha=0.7, label="test prefixes (by number)")
    duration = found.task.kind == "duration"
    axes.set_xlabel("quantile of the remaining time" if duration else "probability that it claims")
    axes.set_ylabel("share of cases below it" if duration else "share of cases in which it is right")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return figure


def _by_length(found: Trained) -> Figure:
    metric = PRIMARY[found.task.kind]
    figure, axes = _axes(6.5, 4, f"{metric} by length of the prefix, {_named(found)}")
    table = found.by_length
    places = range(table.height)
    axes.plot(places, table["baseline"], color=_THEIRS, marker="o", markersize=4, label="baseline")
    axes.plot(places, table["model"], color=_OURS, marker="o", markersize=4, label="model")
    firsts = table["length"].to_list()
    labels = [f"{first}" if after - first == 1 else f"{first} to {after - 1}" for first, after in pairwise(firsts)]
    axes.set_xticks(list(places), [*labels, f"{firsts[-1]} or more"], rotation=30, ha="right", fontsize=8)
    axes.set_xlabel("events so far")
    axes.set_ylabel(f"{metric}, days" if found.task.kind == "duration" else metric)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _importance(found: Trained) -> Figure:
    table = found.importance.head(_TOLD).reverse()
    figure, axes = _axes(6.5, 4.5, f"What it goes by, {_named(found)}")
    name, size = {
        "activity": ("log loss", 1.0),
        "duration": ("mean absolute error, hours", 3600.0),
        "outcome": ("Brier score", 1.0),
    }[found.task.kind]
    importance = [value / size for value in table["importance"].to_list()]
    places = range(table.height)
    axes.barh(places, importance, color=_OURS, height=0.65)
    axes.set_yticks(places, [_cut(feature) for feature in table["feature"].to_list()], parse_math=False)
    axes.set_xlabel(f"rise of the {name}, where it is shuffled")
    axes.tick_params(axis="y", labelsize=9, length=0)
    axes.grid(axis="y", visible=False)
    return figure
