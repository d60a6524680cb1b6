"""A recurrent network that reads an object's events one after the other, to be judged beside the other models.

It takes the extra ``sequence`` (autograd, which differentiates numpy): nothing imports this module unless a sequence
model is asked for. A step is one of the object's own prefixes: its last activity, and when it happened.

It shows what the order of events says alone. It cannot become champion: a champion answers from the features of an
object's last prefix, is stored with no more than numpy and scikit-learn, and says which features moved an answer.

References
----------
Tax, Verenich, La Rosa, Dumas: Predictive Business Process Monitoring with LSTM Neural Networks (CAiSE 2017).
Cho et al.: Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation (EMNLP 2014):
the gated recurrent unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import autograd.numpy as anp
import numpy as np
import numpy.typing as npt
import polars as pl
from autograd import grad
from autograd.scipy.special import expit, logsumexp
from scipy.special import softmax
from threadpoolctl import threadpool_limits

from ocelake.models.evaluate import Answers
from ocelake.models.fitting import Data, learn_encoder
from ocelake.models.tasks import QUANTILES

__all__ = ["sequence_answers"]

_SECONDS: Final = ("since previous", "elapsed")
"""Their logarithms are read."""

_NUMBERS: Final = (*_SECONDS, "hour", "weekday")
_BACK: Final = 20
"""An answer looks back at so many steps at least, where there are so many."""

_GATES: Final = ("update", "reset", "new")
_UNITS: Final = 32
_BATCH: Final = 64
_EPOCHS: Final = 40
_PATIENCE: Final = 5
_RATE: Final = 0.005
_FADING: Final = (0.9, 0.999)
_TINY: Final = 1e-8

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Weights: TypeAlias = dict[str, Any]


def sequence_answers(
    data: Data, rows: pl.DataFrame, values: pl.DataFrame, *, fit: Mask, validation: Mask, train: Mask, asked: Mask
) -> tuple[Answers, int]:
    """Fit a network, and answer for prefixes.

    Parameters
    ----------
    data : Data
        The task, its targets and classes, and the seed.
    rows, values : DataFrame
        As `train_model` takes them. Rows whose target is not known are steps like all others.
    fit, validation, train, asked : bool arrays
        The rows that are fitted to choose the number of epochs, the rows with the least loss at it, the rows that are
        fitted for so long then, and the rows that are answered for.

    Returns
    -------
    answers : Answers
        Of the rows that are asked, in their order.
    epochs : int
    """
    # Products of matrices are summed in the same order by one thread alone.
    with threadpool_limits(1):
        network = _Network(data, _read_steps(rows, values, fit), fit)
        epochs = network.choose(data.usable(fit), data.usable(validation))
        weights = next(islice(network.fitted(data.usable(train)), epochs - 1, None))
        return Answers(network.answer(weights, asked), data.classes), epochs


@dataclass(frozen=True, slots=True, eq=False)
class _Steps:
    """All rows, by object and position.

    Attributes
    ----------
    order : int64 array
        The row of each step.
    start : int64 array
        The first step of each step's object.
    activity : int64 array
        Its number; 0 of what is unknown or rare.
    activities : float32 array, square
        A row for each number: 1 at its place.
    numbers : float32 array
        Standardized; 0 where there is none. The last column is 1.
    """

    order: Places
    start: Places
    activity: Places
    activities: Floats
    numbers: Floats

    def inputs(self, place: Places) -> Floats:
        """Give what the network reads at steps."""
        return np.concatenate([self.activities[self.activity[place]], self.numbers[place]], axis=-1)


def _read_steps(rows: pl.DataFrame, values: pl.DataFrame, fit: Mask) -> _Steps:
    """Make steps of rows; what is frequent and usual is learned from the steps of those that are fitted."""
    owner = rows["object_id"].rank("dense").to_numpy()
    order = np.lexsort((rows["position"].to_numpy(), owner))
    starts = np.flatnonzero(np.diff(owner[order], prepend=0))
    read = values.select("activity", *(name for name in _NUMBERS if name in values.columns))
    read = read.with_columns(pl.col(name).clip(lower_bound=0).log1p() for name in _SECONDS if name in read.columns)
    until = pl.when("fitted").then("position").max().over("object_id")
    seen = (
        rows.with_columns(fitted=pl.Series(fit)).select(pl.col("position") <= until).to_series().fill_null(value=False)
    )
    encoder = learn_encoder(read.filter(seen))
    matrix = encoder.matrix({name: read[name].to_numpy() for name in encoder.columns})
    coded = np.array(encoder.categorical, dtype=bool)
    activity = np.nan_to_num(matrix[:, coded]).sum(axis=1).astype(np.int64)  # the one such column, or none
    known = matrix[seen.to_numpy()][:, ~coded].astype(np.float64)
    spread = np.nanstd(known, axis=0)
    numbers = np.nan_to_num((matrix[:, ~coded] - np.nanmean(known, axis=0)) / np.where(spread > 0, spread, 1))
    return _Steps(
        order,
        np.repeat(starts, np.diff(starts, append=rows.height)),
        activity[order],
        np.eye(int(activity.max()) + 1, dtype=np.float32),
        np.append(numbers, np.ones((rows.height, 1)), axis=1).astype(np.float32)[order],
    )


def _find_windows(start: Places, asked: Mask) -> Places:
    """Cut objects into blocks of steps, each read together with the block before it.

    Returns
    -------
    int64 array
        A row for each block in which a step is asked: the first step that is read, the first that is answered, and
        what comes after the last.

    Examples
    --------
    >>> start, asked = np.repeat([0, 45], [45, 3]), np.zeros(48, dtype=bool)
    >>> asked[[3, 41, 46]] = True
    >>> _find_windows(start, asked).tolist()
    [[0, 0, 4], [20, 40, 42], [45, 45, 47]]
    """
    place = np.arange(len(start))
    begin = np.flatnonzero((place - start) % _BACK == 0)
    end = np.maximum.reduceat(np.where(asked, place + 1, 0), begin)
    return np.stack([np.maximum(begin - _BACK, start[begin]), begin, end], axis=1)[end > begin]


def _batches(windows: Places, rng: np.random.Generator | None = None) -> Iterator[Places]:
    """Give windows of about one length together; which ones, and in which order, by chance."""
    if rng is not None:
        windows = rng.permutation(windows)
    ordered = windows[np.argsort(windows[:, 2] - windows[:, 0], kind="stable")]
    parts = [ordered[at : at + _BATCH] for at in range(0, len(ordered), _BATCH)]
    for number in range(len(parts)) if rng is None else rng.permutation(len(parts)):
        yield parts[number]


def _places(windows: Places, asked: Mask) -> tuple[Places, Mask]:
    """Give the steps of windows, a column each, and which of them are asked; what is too short is filled up."""
    first, begin, end = windows.T
    place = first + np.arange((end - first).max())[:, np.newaxis]
    inside = (place >= begin) & (place < end)
    place = np.minimum(place, end - 1)
    return place, inside & asked[place]


class _Network:
    """A gated recurrent unit over the steps, and a linear layer over its states.

    Activities and outcomes are fitted by their log loss, and durations, as standardized logarithms, by the pinball loss
    of each quantile: of the middle one that is half the absolute error.
    """

    def __init__(self, data: Data, steps: _Steps, fit: Mask) -> None:
        self._steps, self._kind, self._seed = steps, data.task.kind, data.seed
        self._classes = np.eye(len(data.classes), dtype=np.float32)
        target = data.target
        if self._kind == "duration":
            target = np.log1p(target)
            self._middle, self._spread = target[fit].mean(), target[fit].std() or 1.0
            target = ((target - self._middle) / self._spread).astype(np.float32)
        self._target = target[steps.order]

    def choose(self, fit: Mask, validation: Mask) -> int:
        """Give the number of epochs with the least loss on the validation rows."""
        best, least = 1, np.inf
        for epoch, weights in enumerate(islice(self.fitted(fit), _EPOCHS), start=1):
            loss = sum(float(self._losses(weights, *batch).sum()) for batch in self._batches(validation))
            if loss < least:
                best, least = epoch, loss
            if epoch == best + _PATIENCE:
                break
        return best

    def fitted(self, mask: Mask) -> Iterator[Weights]:
        """Fit to rows by Adam without an end; give the weights after each epoch, in the same arrays."""
        rng = np.random.default_rng(self._seed)
        weights = self._begin(rng)
        mean, square = ({name: np.zeros_like(weight) for name, weight in weights.items()} for _ in _FADING)
        slopes = grad(lambda weights, *batch: anp.mean(self._losses(weights, *batch)))
        taken = 0
        while True:
            for batch in self._batches(mask, rng):
                taken += 1
                rate = _RATE * np.sqrt(1 - _FADING[1] ** taken) / (1 - _FADING[0] ** taken)
                for name, slope in slopes(weights, *batch).items():
                    mean[name] += (1 - _FADING[0]) * (slope - mean[name])
                    square[name] += (1 - _FADING[1]) * (slope**2 - square[name])
                    weights[name] -= rate * mean[name] / (np.sqrt(square[name]) + _TINY)
            yield weights

    def answer(self, weights: Weights, mask: Mask) -> Numbers:
        """Answer for rows, in their order."""
        order = self._steps.order
        found = np.zeros((len(mask), len(weights["offset"])))
        for windows in _batches(_find_windows(self._steps.start, mask[order])):
            place, asked = _places(windows, mask[order])
            said = self._said(weights, self._steps.inputs(place))
            found[order[place[asked]]] = said[asked.ravel()]
        found = found[mask]
        if self._kind == "duration":
            learned = np.sort(found, axis=1) * self._spread + self._middle
            return np.asarray(np.expm1(np.clip(learned, 0.0, 30.0)))
        shares = np.asarray(softmax(found, axis=1))
        return shares[:, 1] if self._kind == "outcome" else shares

    def _batches(self, mask: Mask, rng: np.random.Generator | None = None) -> Iterator[tuple[Floats, Mask, Any]]:
        """Give batches: inputs, which of the outputs count, and the targets of these."""
        mask = mask[self._steps.order]
        for windows in _batches(_find_windows(self._steps.start, mask), rng):
            place, asked = _places(windows, mask)
            known = self._target[place[asked]]
            target = known if self._kind == "duration" else self._classes[known]
            yield self._steps.inputs(place), asked.ravel(), target

    def _begin(self, rng: np.random.Generator) -> Weights:
        inputs = self._steps.inputs(np.zeros(0, dtype=np.int64)).shape[1]
        outputs = len(QUANTILES) if self._kind == "duration" else len(self._classes)
        shapes = {"out": (_UNITS, outputs)}
        for gate in _GATES:
            shapes |= {f"{gate} by step": (inputs, _UNITS), f"{gate} by state": (_UNITS, _UNITS)}
        weights = {name: rng.normal(size=shape) / np.sqrt(shape[0]) for name, shape in shapes.items()}
        weights["offset"] = np.zeros(outputs)
        return {name: weight.astype(np.float32) for name, weight in weights.items()}

    def _losses(self, weights: Weights, inputs: Floats, asked: Mask, target: Any) -> Any:
        said = self._said(weights, inputs)[asked]
        if self._kind == "duration":
            off = target[:, np.newaxis] - said
            share = np.array(QUANTILES, dtype=np.float32)
            return anp.sum(anp.maximum(share * off, (share - 1) * off), axis=1)
        return logsumexp(said, axis=1) - anp.sum(said * target, axis=1)

    def _said(self, weights: Weights, inputs: Floats) -> Any:
        """Give the outputs at every step, one window after the other within a step."""
        by_step, by_state = ([weights[f"{gate} by {of}"] for gate in _GATES] for of in ("step", "state"))
        state, states = np.zeros((inputs.shape[1], _UNITS), dtype=np.float32), []
        for step in inputs:
            update = expit(step @ by_step[0] + state @ by_state[0])
            reset = expit(step @ by_step[1] + state @ by_state[1])
            new = anp.tanh(step @ by_step[2] + reset * (state @ by_state[2]))
            state = new + update * (state - new)
            states.append(state)
        return anp.concatenate(states) @ weights["out"] + weights["offset"]
