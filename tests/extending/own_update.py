"""An update: one file. Signs of the averaged gradient in the place of gradients, from one step of gradient descent."""

import torch

import iclmech as icl


@icl.register("update", "sign", title="sign descent (SIGN)", short="SIGN", colour="#009E73")
def sign_descent(model, prompts, *, lr, loss="label", parameters="attn_kv"):
    step = icl.gradient_descent(model, prompts, lr=1.0, loss=loss, parameters=parameters, batch="full")
    deltas = {name: lr * torch.sign(delta) * delta.abs().mean() for name, delta in step.deltas.items()}
    return icl.WeightUpdate.from_deltas(model, deltas, {"method": "sign", "lr": lr})
