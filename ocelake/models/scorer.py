"""A fitted model, as it is stored: it needs numpy and scikit-learn, and nothing of ocelake.

It is pickled together with this module, so this module imports nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Encoder", "Scorer"]

_OTHER = 0.0


class Encoder:
    """Turns named columns into a matrix: numbers as they are, categories as codes; unknown and rare ones share one.

    Parameters
    ----------
    columns : list of str
        In the order of the matrix.
    categories : dict of str to dict of str to int
        The codes, from 1, of those columns that are categories.
    """

    def __init__(self, columns: list[str], categories: dict[str, dict[str, int]]) -> None:
        self.columns, self.categories = list(columns), dict(categories)

    def matrix(self, values: Any) -> Any:
        """Give the matrix of named columns: a dictionary of arrays, or a data frame."""
        missing = [name for name in self.columns if name not in values]
        if missing:
            raise KeyError(f"columns are missing: {', '.join(missing)}")
        size = len(values[self.columns[0]]) if self.columns else 0
        found = np.empty((size, len(self.columns)), dtype=np.float32)
        for place, name in enumerate(self.columns):
            column = np.asarray(values[name])
            if name in self.categories:
                found[:, place] = self._codes(column, self.categories[name])
            else:
                found[:, place] = column.astype(np.float32)
        return found

    @staticmethod
    def _codes(column: Any, codes: dict[str, int]) -> Any:
        known: dict[str | None, float] = {None: np.nan}
        known.update(codes.items())
        texts = column.tolist()
        found = np.array([known.get(text, _OTHER) for text in texts], dtype=np.float32)
        if found.size and not found.all():  # a data frame has NaN where there is no text
            missing = [place for place in np.flatnonzero(found == _OTHER) if texts[place] != texts[place]]
            found[missing] = np.nan
        return found

    @property
    def categorical(self) -> list[bool]:
        """Say of each column whether it is a category."""
        return [name in self.categories for name in self.columns]


class Scorer:
    """A model for one task.

    Parameters
    ----------
    kind : str
        ``activity``, ``duration`` or ``outcome``.
    encoder : Encoder
    models : list
        One classifier, or three regressors: of the lower, middle and upper quantile.
    classes : list
        Of a classifier, in the order of its probabilities.
    calibration : tuple of float
        Of an activity the temperature; of an outcome slope and offset of the log odds; of a duration what is added
        to its interval below, above, and above where the middle is 0, in the scale of the target; less than 0 narrows.
    logarithmic : bool
        Whether a duration is learned as the logarithm of one plus it.
    important : list of int
        Columns by importance, that reasons are looked for among.
    usual : numpy.ndarray
        What stands for a column whose part in a prediction is asked.
    """

    def __init__(
        self,
        kind: str,
        encoder: Encoder,
        models: list[Any],
        classes: list[Any],
        *,
        calibration: tuple[float, ...] = (1.0, 0.0),
        logarithmic: bool = False,
        important: list[int] | None = None,
        usual: Any = None,
    ) -> None:
        self.kind, self.encoder, self.models, self.classes = kind, encoder, models, classes
        self.calibration, self.logarithmic = calibration, logarithmic
        self.important, self.usual = important or [], usual

    @property
    def columns(self) -> list[str]:
        """The columns that it reads."""
        return self.encoder.columns

    def predict(self, values: Any) -> dict[str, Any]:
        """Predict for named columns: a dictionary of arrays, or a data frame.

        Returns
        -------
        dict of str to array
            prediction and probability; of a duration prediction, low and high, in seconds. Of an outcome the
            probability is that of its being true.
        """
        return self._said(self.encoder.matrix(values))

    def probabilities(self, values: Any) -> Any:
        """Give the calibrated probabilities of all classes; of an outcome that of its being true."""
        return self.probabilities_of(self.encoder.matrix(values))

    def reasons(self, values: Any, most: int = 3) -> tuple[list[list[str]], list[list[float]]]:
        """Give each row's columns that moved its prediction most, and by how much.

        A column's part is how the prediction changes where the usual value stands in its place: seconds of a
        duration, else probability. Columns are looked for among the most important ones.
        """
        matrix = self.encoder.matrix(values)
        base = self.middle_of(matrix) if self.kind == "duration" else self.probabilities_of(matrix)
        top = base.argmax(axis=1) if self.kind == "activity" else None
        effects = np.zeros((len(matrix), len(self.important)))
        for place, column in enumerate(self.important):
            usual = self.usual[column]
            same = np.isnan(matrix[:, column]) if np.isnan(usual) else matrix[:, column] == usual
            rows = np.flatnonzero(~same)  # the others would be told the same again
            other = matrix[rows]
            other[:, column] = usual
            if self.kind == "duration":
                effects[rows, place] = base[rows] - self.middle_of(other)
            elif top is None:
                effects[rows, place] = base[rows] - self.probabilities_of(other)
            else:
                said = self.probabilities_of(other)[np.arange(len(rows)), top[rows]]
                effects[rows, place] = base[rows, top[rows]] - said
        order = np.argsort(-np.abs(effects), axis=1, kind="stable")[:, :most]
        names = [[self.columns[self.important[place]] for place in row] for row in order]
        moved = [[float(effects[row, place]) for place in places] for row, places in enumerate(order)]
        return names, moved

    def _said(self, matrix: Any) -> dict[str, Any]:
        if self.kind == "duration":
            low, middle, high = self.quantiles_of(matrix).T
            return {"prediction": middle, "low": low, "high": high}
        found = self.probabilities_of(matrix)
        if self.kind == "outcome":
            return {"prediction": found >= 0.5, "probability": found}
        best = found.argmax(axis=1)
        names = np.array(self.classes, dtype=object)
        return {"prediction": names[best], "probability": found[np.arange(len(best)), best]}

    def probabilities_of(self, matrix: Any) -> Any:
        """Give calibrated probabilities for rows of the encoder's matrix."""
        if not len(matrix):
            return np.zeros((0, len(self.classes))) if self.kind == "activity" else np.zeros(0)
        logits = np.log(np.clip(self.models[0].predict_proba(matrix), 1e-9, 1.0))
        if self.kind == "outcome":
            slope, offset = self.calibration
            return 1 / (1 + np.exp(-(slope * (logits[:, 1] - logits[:, 0]) + offset)))
        scaled = logits / self.calibration[0]
        scaled -= scaled.max(axis=1, keepdims=True)
        powers = np.exp(scaled)
        return powers / powers.sum(axis=1, keepdims=True)

    def quantiles_of(self, matrix: Any) -> Any:
        """Give low, middle and high for rows of the encoder's matrix, in seconds; they never cross."""
        if not len(matrix):
            return np.zeros((0, 3))
        low, middle, high = (model.predict(matrix) for model in self.models)
        below, above, over = self.calibration
        # Nothing lasts less than 0: an end that is there already stays. The middle is never moved by the ends.
        low = np.minimum(np.where(low > 0, low - below, 0.0), middle)
        high = np.maximum(high + np.where(middle > 0, above, over), middle)
        return self._seconds(np.stack([low, middle, high], axis=1))

    def middle_of(self, matrix: Any) -> Any:
        """Give the middle alone, which takes a third of the time."""
        return self._seconds(self.models[1].predict(matrix)) if len(matrix) else np.zeros(0)

    def _seconds(self, found: Any) -> Any:
        return np.maximum(np.expm1(np.minimum(found, 30.0)) if self.logarithmic else found, 0.0)
