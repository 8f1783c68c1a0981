"""A second implementation in plain PyTorch and transformers: no TransformerLens, no code of iclmech.

It is slow and simple on purpose: one sequence at a time, no caches, one forward per layer where that is clearer.
"""

from ._models import (
    FAMILIES as FAMILIES,
    canonical as canonical,
    load_plain as load_plain,
    make_tokenizer as make_tokenizer,
    parameter_of as parameter_of,
    readout as readout,
    save_tiny as save_tiny,
)
from ._record import record as record, sim_am as sim_am, sim_aou as sim_aou
from ._train import (
    gradient_descent as gradient_descent,
    layer_causal_gd as layer_causal_gd,
    with_delta as with_delta,
)
