"""Tasks, sources of examples, and prompts whose token spans are known exactly."""

from __future__ import annotations

from ._types import (
    Context as Context,
    Demonstration as Demonstration,
    PromptSet as PromptSet,
    Query as Query,
    Role as Role,
    Span as Span,
)
