"""Small nets, one or many in a stack, their optimisers, and the one trainer: batches in, a Hugging Face directory out."""

from __future__ import annotations

from ._curriculum import (
    Curriculum as Curriculum,
    continue_run as continue_run,
    resume_run as resume_run,
    start_run as start_run,
)
from ._export import export_net as export_net, load_net as load_net, save_snapshot as save_snapshot
from ._gpt2 import (
    GPT2Config as GPT2Config,
    SmallGPT2 as SmallGPT2,
    export_gpt2 as export_gpt2,
    load_gpt2 as load_gpt2,
    soft_rows as soft_rows,
)
from ._intervened import Interventions as Interventions, face_of as face_of, intervened as intervened
from ._network import NetConfig as NetConfig, SmallNet as SmallNet, stack as stack, unstack as unstack
from ._optimizers import (
    BatchedMuon as BatchedMuon,
    build_optimizers as build_optimizers,
    clip_gradients as clip_gradients,
)
from ._own_model import OwnModel as OwnModel
from ._recipe import (
    Phase as Phase,
    Recipe as Recipe,
    load_recipe as load_recipe,
    recipe_from as recipe_from,
)
from ._token_loss import TokenBatch as TokenBatch, token_loss as token_loss
from ._trainer import (
    Loss as Loss,
    Measured as Measured,
    Run as Run,
    resume as resume,
    save_run as save_run,
    train as train,
    train_step as train_step,
    warmup as warmup,
)
