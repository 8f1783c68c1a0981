"""Interventions: changes to a forward pass, composable, usable with gradients."""

from __future__ import annotations

from ._layout import Intervention as Intervention, Layout as Layout
