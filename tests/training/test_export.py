"""Exported nets are the trained ones: to transformers, to `load_model` and to `capture`; also learners of functions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training.small_nets import CONFIG, VOCABULARY, different, ids_of, net_and_stack, nets
from transformers import AutoModelForCausalLM, AutoTokenizer

from iclmech._base import ModelError
from iclmech.mini import vocabulary
from iclmech.models import ICLModel, load_model
from iclmech.training import SmallNet, export_net, load_net, save_snapshot, stack

WORDS = ["<bos>", *(f"w{n}" for n in range(VOCABULARY - 1))]


@pytest.mark.parametrize("d_mlp", [(0, 48), (16, 48), 0])
def test_a_net_of_a_stack_exports_as_itself(tmp_path: Path, d_mlp: int | tuple[int, ...]) -> None:
    alone, whole = net_and_stack(3, dataclasses.replace(CONFIG, d_mlp=d_mlp))
    plain = AutoModelForCausalLM.from_pretrained(export_net(whole, tmp_path / "model", model=2, words=WORDS)).eval()
    rows = torch.randn(4, 9, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, embedded = alone[2].logits(alone[2](ids_of())), alone[2].logits(alone[2](rows))
        assert expected.std() > 0.5
        assert (plain(ids_of()).logits - expected).abs().max() < 1e-5
        assert (plain(inputs_embeds=rows).logits - embedded).abs().max() < 1e-5
        assert not torch.allclose(alone[1].logits(alone[1](ids_of())), expected, atol=0.1)


def test_what_stands_in_for_an_absent_mlp_adds_exactly_nothing(tmp_path: Path) -> None:
    net = nets(1)[0]
    model = load_model(str(export_net(net, tmp_path, words=WORDS)))
    seen: dict[str, torch.Tensor] = {}
    names = ("resid_mid", "mlp_out", "resid_post")
    hooks = [(name, 0, lambda tensor, name=name: seen.__setitem__(name, tensor.clone())) for name in names]
    with model.hooks(hooks), torch.no_grad():
        model.forward(ids_of())
    assert not seen["mlp_out"].any()


def test_load_model_passes_it_and_shows_the_states_of_the_training_net(tmp_path: Path) -> None:
    net = nets(1)[0]
    model = load_model(str(export_net(net, tmp_path, words=WORDS)))
    assert dict(model.capabilities.checks)["forward"] == "equals the plain model"
    mine = ICLModel(net)
    states: dict[tuple[str, str, int], torch.Tensor] = {}
    sites = ("resid_pre", "q", "v", "attn_pattern", "z", "attn_out", "mlp_out", "resid_post")
    for name, one in (("exported", model), ("trained", mine)):
        hooks = [
            (site, layer, lambda tensor, key=(name, site, layer): states.__setitem__(key, tensor.clone()))
            for site in sites
            for layer in range(2)
        ]
        with one.hooks(hooks), torch.no_grad():
            one.forward(ids_of())
    for site in sites:
        for layer in range(2):
            if (site, layer) != ("mlp_out", 0):
                torch.testing.assert_close(
                    states["exported", site, layer], states["trained", site, layer], atol=1e-5, rtol=1e-5
                )


def test_soft_tokens_make_a_learner_of_functions_an_ordinary_model(tmp_path: Path) -> None:
    d = 5
    words = ["<bos>", *(f"x{n + 1}" for n in range(d)), "y"]
    whole = stack(nets(2, dataclasses.replace(CONFIG, d_mlp=48), d_vocab=len(words)))
    make = torch.Generator().manual_seed(3)
    x, y = torch.randn(6, 8, d, generator=make), torch.randn(6, 8, generator=make)
    mixtures = torch.zeros(6, 17, len(words))
    mixtures[:, 0, 0] = 1
    mixtures[:, 1::2, 1 : d + 1], mixtures[:, 2::2, d + 1] = x, y
    table = whole.model.embed_tokens.weight[1]
    model = load_model(str(export_net(whole, tmp_path, model=1, words=words)))
    with torch.no_grad():
        rows = mixtures @ table
        mine = whole.logits(whole(rows))[1]
        theirs = model.forward(mixtures @ model.backend.embed(torch.arange(len(words))[None])[0])
    assert mine[..., -1].std() > 0.3
    assert (theirs - mine).abs().max() < 1e-5
    assert model.tokenizer("x1 y")["input_ids"] == [0, 1, 6]


def test_items_become_words_by_other_tables(tmp_path: Path) -> None:
    net = nets(1)[0]
    items = torch.randn(4, 32, generator=torch.Generator().manual_seed(2))
    embed = torch.cat((net.model.embed_tokens.weight.detach(), items))
    unembed = torch.cat((net.lm_head.weight.detach(), torch.zeros(4, 32)))
    words = [*WORDS, "i0", "i1", "i2", "i3"]
    place = export_net(net, tmp_path, words=words, embed=embed, unembed=unembed)
    plain = AutoModelForCausalLM.from_pretrained(place).eval()
    ids = AutoTokenizer.from_pretrained(place)("i3 w4 i0", return_tensors="pt")["input_ids"]
    assert ids.tolist() == [[0, 14, 5, 11]]
    with torch.no_grad():
        logits = plain(ids).logits
        assert (logits[..., :VOCABULARY] - net.logits(net(embed[ids]))).abs().max() < 1e-5
    assert not logits[..., VOCABULARY:].any()


def test_words_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    net = nets(1)[0]
    for words in (WORDS[:-1], [*WORDS[:-1], "w0"], None):
        with pytest.raises(ModelError, match="one word for each row"):
            export_net(net, tmp_path, words=words)
    with pytest.raises(ModelError, match="white space"):
        export_net(net, tmp_path, words=[*WORDS[:-1], "two words"])
    with pytest.raises(ModelError, match="numbered from 0"):
        export_net(net, tmp_path, model=1, words=WORDS)


def test_icl_minis_vocabulary_is_the_one_that_needs_no_words(tmp_path: Path) -> None:
    net = SmallNet(CONFIG, len(vocabulary()), torch.Generator().manual_seed(0))
    place = export_net(net, tmp_path)
    assert len(AutoTokenizer.from_pretrained(place)) == net.d_vocab
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(place).eval()(ids_of()).logits
        assert (theirs - net.logits(net(ids_of()))).abs().max() < 1e-5


def test_snapshots_of_a_net_and_of_a_stack_come_back(tmp_path: Path) -> None:
    alone, whole = net_and_stack(2)
    for net in (alone[0], whole):
        again = load_net(load_file(save_snapshot(net, tmp_path / "deep" / "step-1.safetensors")), CONFIG)
        assert again.models == net.models
        assert torch.equal(again(ids_of()), net(ids_of()))
    assert different(alone[1], again, 1) == []
