"""Tasks, sources of examples, and prompts whose token spans are known exactly."""

from __future__ import annotations

from ._facts import build_facts as build_facts
from ._label_permutations import permuted_labels as permuted_labels, share_kept as share_kept
from ._load import list_tasks as list_tasks, load_task as load_task, task_table as task_table
from ._presets import DEUTCH2024 as DEUTCH2024, PRESETS as PRESETS, Preset as Preset
from ._prompt_set import (
    Context as Context,
    Demonstration as Demonstration,
    LabelPermutations as LabelPermutations,
    PromptSet as PromptSet,
    Query as Query,
    Role as Role,
    Span as Span,
)
from ._prompts import build_prompts as build_prompts
from ._records import Example as Example
from ._select import GivenRows as GivenRows, Selection as Selection, Selector as Selector
from ._sources import SOURCES as SOURCES, TaskCard as TaskCard, TaskSource as TaskSource
from ._task import Task as Task
from ._tokens import EOS_SEPARATOR as EOS_SEPARATOR, PieceTokenizer as PieceTokenizer
