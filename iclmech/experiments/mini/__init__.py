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
from ._export import export_net as export_net, load_net as load_net, save_snapshot as save_snapshot
from ._net import MiniNet as MiniNet, NetConfig as NetConfig
from ._recipe import Phase as Phase, Recipe as Recipe, load_recipe as load_recipe
from ._teach import LRS as LRS, teach as teach
