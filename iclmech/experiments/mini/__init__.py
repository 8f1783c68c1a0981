"""Training and measuring icl-mini: recipes, the network, the run, the abilities."""

from __future__ import annotations

from ._abilities import (
    accuracy as accuracy,
    accuracy_table as accuracy_table,
    induction as induction,
    net_patterns as net_patterns,
    net_predict as net_predict,
    predict_last as predict_last,
    recall_accuracy as recall_accuracy,
    repeated_sequences as repeated_sequences,
    write_prompt as write_prompt,
)
from ._api import measure as measure, train_mini as train_mini
from ._evaluate import MiniEvaluation as MiniEvaluation, Target as Target, evaluate_mini as evaluate_mini
from ._teach import LRS as LRS, teach as teach
