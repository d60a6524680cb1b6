"""Models of prefixes: trained on what was known before, judged on what came later, beside what has to be beaten.

`tasks` says what is asked; `split` by which time; `baselines` what has to be beaten; `fitting` chooses and
calibrates; `sequence`, where it is asked for, is one more model to be held against; `train` does it all, and judges;
`scorer` is what is stored; `plots` shows it. `anomalies` finds what is unusual, without a task.
"""

from ocelake.models.evaluate import Answers, Judged, answers_of, judge, one_thread
from ocelake.models.plots import plot_training
from ocelake.models.scorer import Encoder, Scorer
from ocelake.models.split import TimeSplit, split_by_time
from ocelake.models.tasks import MODEL, PRIMARY, SEQUENCE, Kind, Task, TrainingSettings, Untrainable, gain
from ocelake.models.train import Trained, judge_pair, score_metric, train_model

__all__ = [
    "MODEL",
    "PRIMARY",
    "SEQUENCE",
    "Answers",
    "Encoder",
    "Judged",
    "Kind",
    "Scorer",
    "Task",
    "TimeSplit",
    "Trained",
    "TrainingSettings",
    "Untrainable",
    "answers_of",
    "gain",
    "judge",
    "judge_pair",
    "one_thread",
    "plot_training",
    "score_metric",
    "split_by_time",
    "train_model",
]
