from ._sequences import LossWeights as LossWeights, MixtureConfig as MixtureConfig, batch as training_batch
from ._vocabulary import vocabulary as vocabulary, build_tokenizer as build_tokenizer, save_tokenizer as save_tokenizer, word_id as word_id, piece_ids as piece_ids
from ._world import WorldConfig as WorldConfig, seeded as world_seed, draw_episode as draw_episode, FAMILIES as FAMILIES
from ._tasks import MINI_TASKS as MINI_TASKS, MiniTaskInfo as MiniTaskInfo, MiniTaskSpec as MiniTaskSpec, mini_task_spec as mini_task_spec
