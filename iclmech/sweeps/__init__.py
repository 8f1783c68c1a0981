"""Sweeps: a grid over any experiment's request, run on this machine or on Slurm, resumed, collected into one dataset."""

from __future__ import annotations

from ._axes import SweepError as SweepError
from ._plan_file import plan_of_file as plan_of_file, run_plan as run_plan
from ._run_sweep import sweep as sweep
from ._sweep import Sweep as Sweep, open_sweep as open_sweep
