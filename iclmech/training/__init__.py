"""Small nets, their optimisers, and the one trainer: recipes in, a Hugging Face directory out."""

from __future__ import annotations

from ._export import export_net as export_net, load_net as load_net, save_snapshot as save_snapshot
from ._network import MiniNet as MiniNet, NetConfig as NetConfig
from ._recipe import Phase as Phase, Recipe as Recipe, load_recipe as load_recipe
from ._trainer import (
    Run as Run,
    continue_run as continue_run,
    resume_run as resume_run,
    save_run as save_run,
    start_run as start_run,
    train_step as train_step,
)
