"""icl-mini: the world of the shipped model, its evaluation tasks, and its files."""

from __future__ import annotations

from ._store import list_mini_models as list_mini_models, mini_history as mini_history, mini_model_dir as mini_model_dir
from ._tasks import (
    MINI_TASKS as MINI_TASKS,
    MiniTaskInfo as MiniTaskInfo,
    MiniTaskSpec as MiniTaskSpec,
    mini_task_spec as mini_task_spec,
)
from ._training_sequences import (
    LossWeights as LossWeights,
    MixtureConfig as MixtureConfig,
    training_batch as training_batch,
)
from ._vocabulary import (
    build_tokenizer as build_tokenizer,
    piece_ids as piece_ids,
    save_tokenizer as save_tokenizer,
    vocabulary as vocabulary,
    word_id as word_id,
)
from ._world import (
    FAMILIES as FAMILIES,
    Episode as Episode,
    WorldConfig as WorldConfig,
    draw_episode as draw_episode,
    held_pair as held_pair,
    world_seed as world_seed,
)
