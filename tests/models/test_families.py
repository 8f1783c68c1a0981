"""Tiny random models of some fifty configurations: each loads and gives plain transformers' numbers, or is refused by name.

The table *family · loads · why not* of the documentation is made here: `ICLMECH_WRITE_FAMILIES=1 pytest THIS_FILE` writes it.
"""

from __future__ import annotations

import os
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import reference
import torch

from iclmech._base import ICLMechWarning, ModelError
from iclmech.captures import capture
from iclmech.models import ICLModel, Twin, load_model, twin_of
from iclmech.models.twin import _onednn
from iclmech.tasks import Task, build_prompts
from iclmech.updates import gradient_descent

DOCS = Path(__file__).parents[2] / "docs" / "howto" / "models.md"
BEGIN, END = "<!-- families: made by tests/models/test_families.py -->\n", "<!-- end of families -->\n"
WRITE = "ICLMECH_WRITE_FAMILIES"
WINDOW = 16
SIZES = {
    "vocab_size": 290, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "max_position_embeddings": 256, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1,
}  # fmt: skip
GROUPED = {"num_key_value_heads": 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}
GPT2 = {
    "vocab_size": 290, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "n_inner": 48, "bos_token_id": 0,
    "eos_token_id": 1, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0,
}  # fmt: skip
LONG = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [1.5] * 4,
    "original_max_position_embeddings": 32,
}  # fmt: skip
SLIDING = ["sliding_attention", "full_attention"]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT-2": ("GPT2Config", GPT2),
    "GPT-2, scores divided by layer (CRFM)": ("GPT2Config", {**GPT2, "scale_attn_by_inverse_layer_idx": True}),
    "GPT-2, scores not scaled": ("GPT2Config", {**GPT2, "scale_attn_weights": False}),
    "GPT-J": ("GPTJConfig", {**GPT2, "rotary_dim": 4}),
    "GPT-Neo, local windows": (
        "GPTNeoConfig",
        {**SIZES, "num_layers": 2, "num_heads": 4, "window_size": WINDOW, "attention_types": [[["global", "local"], 1]]},
    ),
    "GPT-NeoX (Pythia)": ("GPTNeoXConfig", {**SIZES, "rotary_pct": 0.5}),
    "GPT-NeoX without attention biases": ("GPTNeoXConfig", {**SIZES, "attention_bias": False}),
    "GPT-BigCode": ("GPTBigCodeConfig", {**GPT2, "multi_query": True}),
    "CodeGen": ("CodeGenConfig", {**GPT2, "rotary_dim": 4}),
    "OPT": ("OPTConfig", {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.0}),
    "OPT, norms behind the sums (350m)": (
        "OPTConfig",
        {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32, "do_layer_norm_before": False},
    ),
    "XGLM": ("XGLMConfig", {**SIZES, "d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48}),
    "BLOOM": ("BloomConfig", {"vocab_size": 290, "hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "MPT": ("MptConfig", {"vocab_size": 290, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 256}),
    "Falcon": ("FalconConfig", {**SIZES, "multi_query": True, "new_decoder_architecture": False}),
    "Falcon-40b": ("FalconConfig", {**SIZES, "num_kv_heads": 2, "new_decoder_architecture": True}),
    "Falcon-RW": ("FalconConfig", {**SIZES, "alibi": True, "multi_query": False, "new_decoder_architecture": False}),
    "Llama": ("LlamaConfig", {**SIZES, **GROUPED}),
    "Llama, YaRN": (
        "LlamaConfig",
        {**SIZES, "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}},
    ),
    "Mistral": ("MistralConfig", {**SIZES, **GROUPED, "sliding_window": WINDOW}),
    "Mixtral": ("MixtralConfig", {**SIZES, **GROUPED, "sliding_window": None, "num_local_experts": 4}),
    "Qwen2": ("Qwen2Config", {**SIZES, **GROUPED}),
    "Qwen2, mixed windows": (
        "Qwen2Config",
        {**SIZES, **GROUPED, "use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1},
    ),
    "Qwen2-MoE": ("Qwen2MoeConfig", {**SIZES, **GROUPED, **EXPERTS, "shared_expert_intermediate_size": 24}),
    "Qwen3": ("Qwen3Config", {**SIZES, **GROUPED, "head_dim": 8}),
    "Gemma": ("GemmaConfig", {**SIZES, **GROUPED, "head_dim": 8}),
    "Gemma 2": (
        "Gemma2Config",
        {**SIZES, **GROUPED, "head_dim": 8, "sliding_window": WINDOW, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 8},
    ),
    "Gemma 3": ("Gemma3TextConfig", {**SIZES, **GROUPED, "head_dim": 8, "sliding_window": WINDOW, "layer_types": SLIDING}),
    "VaultGemma": (
        "VaultGemmaConfig",
        {**SIZES, "num_key_value_heads": 4, "head_dim": 8, "sliding_window": WINDOW, "query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0},
    ),
    "Cohere": ("CohereConfig", {**SIZES, **GROUPED, "logit_scale": 0.25}),
    "Cohere 2": ("Cohere2Config", {**SIZES, **GROUPED, "logit_scale": 0.25, "sliding_window": WINDOW, "layer_types": SLIDING}),
    "Granite": ("GraniteConfig", {**SIZES, **GROUPED, "logits_scaling": 4.0, "attention_multiplier": 0.2, "residual_multiplier": 0.5}),
    "Granite-MoE": (
        "GraniteMoeConfig",
        {**SIZES, **GROUPED, "logits_scaling": 4.0, "attention_multiplier": 0.2, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "Phi": ("PhiConfig", {**SIZES, "partial_rotary_factor": 0.5}),
    "Phi-3": ("Phi3Config", {**SIZES, **GROUPED, "sliding_window": WINDOW}),
    "Phi-3, LongRoPE (128k)": (
        "Phi3Config",
        {**SIZES, **GROUPED, "sliding_window": None, "rope_parameters": LONG, "original_max_position_embeddings": 32},
    ),
    "Phi-MoE": ("PhimoeConfig", {**SIZES, **GROUPED, "num_local_experts": 4}),
    "StableLM": ("StableLmConfig", {**SIZES, "num_key_value_heads": 4, "partial_rotary_factor": 0.5}),
    "Starcoder2": ("Starcoder2Config", {**SIZES, **GROUPED, "sliding_window": WINDOW}),
    "OLMo": ("OlmoConfig", SIZES),
    "OLMo 2": ("Olmo2Config", {**SIZES, **GROUPED}),
    "OLMo 3": ("Olmo3Config", {**SIZES, **GROUPED, "sliding_window": WINDOW, "layer_types": SLIDING}),
    "OLMoE": ("OlmoeConfig", {**SIZES, **GROUPED, "num_experts": 4, "num_experts_per_tok": 2}),
    "SmolLM3": ("SmolLM3Config", {**SIZES, **GROUPED}),
    "Nemotron": ("NemotronConfig", {**SIZES, **GROUPED, "head_dim": 8}),
    "GLM": ("GlmConfig", {**SIZES, **GROUPED, "head_dim": 8}),
    "GLM-4": ("Glm4Config", {**SIZES, **GROUPED, "head_dim": 8}),
    "Exaone 4": ("Exaone4Config", {**SIZES, **GROUPED, "sliding_window": WINDOW, "layer_types": SLIDING}),
    "Ernie 4.5": ("Ernie4_5Config", {**SIZES, **GROUPED, "head_dim": 8}),
    "Hunyuan, dense": ("HunYuanDenseV1Config", {**SIZES, **GROUPED, "head_dim": 8}),
    "GPT-OSS": ("GptOssConfig", {**SIZES, **GROUPED, "head_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2, "layer_types": SLIDING}),
    "DeepSeek-V3": (
        "DeepseekV3Config",
        {
            **SIZES, "num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4,
            "v_head_dim": 8, "moe_intermediate_size": 24, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1,
            "topk_group": 1, "first_k_dense_replace": 2, "n_shared_experts": 1,
        },
    ),
    "Llama 4, text": (
        "Llama4TextConfig",
        {**SIZES, **GROUPED, "head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2, "attention_chunk_size": 64},
    ),
    "OpenAI-GPT": ("OpenAIGPTConfig", {**GPT2, "afn": "gelu"}),
    "Mamba": ("MambaConfig", {"vocab_size": 290, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "RecurrentGemma": ("RecurrentGemmaConfig", {**SIZES, **GROUPED, "lru_width": 32, "attention_window_size": WINDOW}),
}  # fmt: skip

outcomes: dict[str, str] = {}
"""By family: "" if it loads, else the reason."""


def save(family: str, path: Path) -> None:
    """A random model with weights that matter, and the byte-level tokenizer."""
    import transformers

    kind, settings = FAMILIES[family]
    config = getattr(transformers, kind)(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            with torch.no_grad():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.15)
                else:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(path)
    reference.make_tokenizer().save_pretrained(path)


def loaded(family: str, path: Path) -> ICLModel:
    """The model of a family that loads; a TransformerLens of before 4.0 that computes it otherwise is passed over."""
    save(family, path)
    try:
        return load_model(path)
    except ModelError:
        if version("transformer-lens") < "4":
            pytest.skip("this TransformerLens computes the family otherwise, and it is refused")
        raise


def prompts_for(model: ICLModel) -> Any:
    """Prompts of some 70 tokens, longer than every window here."""
    records = [{"text": f"a {'good' if n % 2 else 'bad'} one {n}", "label": n % 2} for n in range(12)]
    task = Task.from_records(records, records, template="It: {text} =", label_words=["no", "yes"], name="two")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ICLMechWarning)  # byte-level words share their leading space
        return build_prompts(model, task, k=3, n_queries=3)


def equals_plain_transformers(model: ICLModel, path: Path) -> None:
    """States, scores and label scores of a capture behind demonstrations, against the plain model's."""
    plain, prompts = reference.load_plain(path), prompts_for(model)
    acts = capture(model, prompts, "icl", ("resid_post", "attn_scores", "context_scores"))
    scores = torch.cat([acts["context_scores"], acts["attn_scores"]], -1)
    for j, query in enumerate(prompts.queries):
        row = torch.tensor([[*prompts.context_tokens, *query.tokens]])
        with torch.no_grad():
            out = plain(row, use_cache=False, output_hidden_states=True, output_attentions=True)
        state = out.hidden_states[1][0, -1]
        assert (acts["resid_post"][j, 0] - state).abs().max() <= 1e-4 * (1 + state.abs().max())
        for layer in range(2):
            seen = scores[j, layer]
            pattern = torch.softmax(seen.masked_fill(seen.isnan() | (seen < -1e30), float("-inf")), -1)
            context, n = len(prompts.context_tokens), len(query.tokens)
            own = torch.cat([pattern[:, :context], pattern[:, pattern.shape[1] - n :]], -1)
            assert torch.allclose(own, out.attentions[layer][0, :, -1], atol=1e-4)
        for label, ids in enumerate(prompts.contexts[0].label_tokens):
            with torch.no_grad():
                logits = plain(torch.cat([row, torch.tensor([ids])], 1), use_cache=False).logits[0]
            chosen = torch.log_softmax(logits[row.shape[1] - 1 : -1], -1)[range(len(ids)), ids].mean()
            assert abs(float(acts.label_scores[j, label] - chosen)) <= 1e-4 * (1 + abs(float(chosen)))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_gives_the_plain_models_numbers_or_is_refused_by_name(family: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers has advice for odd configurations
        save(family, tmp_path)
        try:
            model = load_model(tmp_path)
        except ModelError as error:
            outcomes[family] = str(error)
        else:
            outcomes[family] = ""
            equals_plain_transformers(model, tmp_path)
    if version("transformer-lens") >= "4" and not os.environ.get(WRITE):
        row = f"| {family} | {'no' if outcomes[family] else 'yes'} |"
        assert row in DOCS.read_text(encoding="utf-8"), outcomes[family]


def table() -> str:
    """The outcomes as a table in Markdown."""
    rows = ["| family | loads | why not |", "|---|---|---|"]
    for family in FAMILIES:
        why = outcomes[family].partition(" is refused: ")[2] or outcomes[family]
        why = why.partition("; docs/howto")[0].partition(" Expected")[0].replace("|", "/")
        rows.append(f"| {family} | {'no' if why else 'yes'} | {why} |")
    return "\n".join(rows) + "\n"


@pytest.mark.skipif(version("transformer-lens") < "4", reason="the table is of the TransformerLens that is locked")
def test_the_table_in_the_documentation_is_this_one() -> None:
    if set(outcomes) != set(FAMILIES):
        pytest.skip("not all families were tried in this run")
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(BEGIN)
    shown, _, after = rest.partition(END)
    if os.environ.get(WRITE):
        DOCS.write_text(before + BEGIN + "\n" + table() + "\n" + END + after, encoding="utf-8")
        shown = "\n" + table() + "\n"
    assert shown.strip() == table().strip(), "out of date: run this file with ICLMECH_WRITE_FAMILIES=1"


@pytest.mark.parametrize("family", ["Gemma 2", "Cohere", "Granite"])
def test_updates_are_those_of_plain_transformers(family: str, tmp_path: Path) -> None:
    """ΔW of one pass, from gradients through soft caps and scaled logits."""
    model, plain = loaded(family, tmp_path), reference.load_plain(tmp_path)
    prompts = prompts_for(model)
    samples = [(d.tokens, d.label_span) for d in prompts.demonstrations]
    update = gradient_descent(model, prompts, lr=0.02, loss="label")
    for (layer, kind), expected in reference.gradient_descent(plain, samples, 0.02, "label").items():
        found = update.delta(layer, kind)  # type: ignore[arg-type]  # one of k, v
        assert found is not None
        assert (found - expected).norm() <= 1e-4 * expected.norm(), (layer, kind)


@pytest.mark.parametrize("family", ["Cohere", "Granite", "Gemma"])
@pytest.mark.parametrize("pays", [True, False])
def test_the_twins_readout_is_the_models(
    family: str, pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pays and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of PyTorch has no oneDNN")
    monkeypatch.setattr(_onednn, "onednn_is_quicker", lambda: pays)
    model = loaded(family, tmp_path)
    twin = twin_of(model)
    assert isinstance(twin, Twin)
    state = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    plain = reference.load_plain(tmp_path)
    logits = plain.lm_head(plain.model.norm(state))
    expected = {"Cohere": logits * 0.25, "Granite": logits / 4.0, "Gemma": logits}[family]
    assert torch.allclose(twin.readout(state), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["GPT-J", "Gemma 2", "GPT-2, scores divided by layer (CRFM)"])
def test_scores_at_shifted_positions_give_the_pattern(family: str, tmp_path: Path) -> None:
    """A zero-shot query at the positions that it has behind its demonstrations: BOS stands far to its left."""
    model = loaded(family, tmp_path)
    prompts = prompts_for(model)
    sites = ("attn_scores", "attn_pattern", "context_scores")
    acts = capture(model, prompts, "zs", sites, match_positions=True, path="uncached")
    seen = torch.cat([acts["context_scores"], acts["attn_scores"]], -1)
    pattern = torch.softmax(seen.masked_fill(seen.isnan() | (seen < -1e30), float("-inf")), -1)
    own = pattern[..., -acts["attn_pattern"].shape[-1] :]
    assert torch.allclose(own.nan_to_num(), acts["attn_pattern"].nan_to_num(), atol=1e-5)
