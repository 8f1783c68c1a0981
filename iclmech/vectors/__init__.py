"""Vectors that can stand in for a context: what they are, and how they are made."""

from __future__ import annotations

from ._function_vector import function_vector as function_vector, writes as writes
from ._in_context_vector import in_context_vector as in_context_vector
from ._layer_choice import AnswerScores as AnswerScores, with_chosen_layer as with_chosen_layer
from ._learned_vector import learn_vector as learn_vector, with_permuted_answers as with_permuted_answers
from ._stand_in import StandIn as StandIn, each_as_query as each_as_query
from ._task_vector import task_vector as task_vector
from ._vector import Vector as Vector, VectorError as VectorError
