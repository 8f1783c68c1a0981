"""A measure: one function. `compare(metrics=("size_ratio",))` runs it through every control."""

import iclmech as icl


@icl.register("measure", "size_ratio", axes=("layer",), title="size of the update's shift beside ICL's", unit="ratio")
def size_ratio(zs, icl, ft):
    shift, in_context = ft["attn_out"] - zs["attn_out"], icl["attn_out"] - zs["attn_out"]
    return shift.norm(dim=-1) / in_context.norm(dim=-1)
