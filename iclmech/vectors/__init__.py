"""Vectors that can stand in for a context: what they are, how they are made, which heads write them."""

from __future__ import annotations

from ._corrupted import corrupted as corrupted
from ._function_vector import function_vector as function_vector, writes as writes
from ._head_effects import head_effects as head_effects
from ._head_effects_result import HeadEffects as HeadEffects
from ._in_context_vector import in_context_vector as in_context_vector
from ._layer_choice import AnswerScores as AnswerScores, with_chosen_layer as with_chosen_layer
from ._learned_vector import learn_vector as learn_vector, with_permuted_answers as with_permuted_answers
from ._stand_in import StandIn as StandIn, each_as_query as each_as_query
from ._task_vector import task_vector as task_vector
from ._vector import Vector as Vector, VectorError as VectorError
