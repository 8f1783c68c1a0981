"""Demonstration selection: which examples stand before a query, and which were worth labelling in the first place.

Two steps that are easily mixed up. *Annotation* decides which examples of a pool get labels, once for all queries: `VoteK`,
`Diversity`, `FacilityLocation`, `IDEAL`, `Random`, `Balanced`, each with `pool(train, size, seed)`. *Retrieval* decides which
of these stand before a given query, and in which order: `KNN`, or `Random` and `Balanced` again. Every one of them serves
`build_prompts(selection=…)`, where an annotation method gives all queries the first k of its rows.
"""

from __future__ import annotations

from iclmech.tasks import GivenRows as GivenRows

from ._annotation import Diversity as Diversity, FacilityLocation as FacilityLocation, VoteK as VoteK
from ._drawn import Balanced as Balanced, Random as Random
from ._embed import embed as embed
from ._ideal import IDEAL as IDEAL, influence as influence, live_edges as live_edges
from ._nearest import KNN as KNN, label_vote as label_vote
from ._vectors import TextVectors as TextVectors
