"""What the built-in updates are called, and how they are shown."""

from __future__ import annotations

from iclmech._base import Update
from iclmech._base._palette import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION

GD = Update("gd", "iclmech.updates:gradient_descent", "gradient descent (GD)", "GD", BLUE, fast=True)
LCGD = Update("lcgd", "iclmech.updates:layer_causal_gd", "layer-causal GD (LCGD)", "LCGD", VERMILLION, fast=True)
LCGD_BOTTOM_UP = Update(
    "lcgd_bottom_up", "iclmech.updates:layer_causal_gd", "layer-causal GD, bottom-up", "LCGD, bottom-up",
    options=(("order", "bottom_up"),),
)  # fmt: skip
MOMENTUM = Update("momentum", "iclmech.updates:momentum_gd", "gradient descent with momentum", "GD with momentum")
ADAMW = Update("adamw", "iclmech.updates:adamw", "AdamW", "AdamW")
TASK_VECTOR = Update(
    "task_vector", "iclmech.vectors._stand_in:task", "task vector", "task vector", PURPLE, kind="vector"
)
FUNCTION_VECTOR = Update(
    "function_vector", "iclmech.vectors._stand_in:function", "function vector", "function vector", SKY, kind="vector"
)
IN_CONTEXT_VECTOR = Update(
    "in_context_vector",
    "iclmech.vectors._stand_in:in_context",
    "in-context vector",
    "in-context vector",
    GREEN,
    kind="vector",
)
LEARNED_VECTOR = Update(
    "learned_vector", "iclmech.vectors._stand_in:learned", "learned vector", "learned vector", ORANGE, kind="vector"
)
