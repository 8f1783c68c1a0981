"""icl-mini's vocabulary and its tokenizer: whole words where the world has them, bytes everywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from ._lexicon import BARE, TEMPLATE_WORDS, all_words

BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
SPECIALS: tuple[str, ...] = (BOS, EOS, PAD)
"""Ids 0, 1 and 2."""


def _byte_letters() -> list[str]:
    """The 256 letters that stand for bytes in byte-level tokenizers (Radford et al. 2019), in the order of the bytes."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters, spare = {}, 256
    for byte in range(256):
        if byte in visible:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(spare)
            spare += 1
    return [letters[byte] for byte in range(256)]


@cache
def vocabulary() -> tuple[str, ...]:
    """Every token in the order of its id: specials, 256 bytes, then whole words (``Ġ`` is a leading space)."""
    letters = _byte_letters()
    bare = [piece for piece in (*BARE, *TEMPLATE_WORDS) if len(piece) > 1]
    words = [f"Ġ{word}" for word in all_words()]
    return tuple(dict.fromkeys([*SPECIALS, *letters, *bare, *words]))


@cache
def _ids() -> dict[str, int]:
    return {token: index for index, token in enumerate(vocabulary())}


def word_id(word: str) -> int:
    """The id of ``" " + word``, which is one token.

    Raises:
        KeyError: ``word`` is not a word of the world.
    """
    return _ids()[f"Ġ{word}"]


def piece_ids(piece: str) -> list[int]:
    """The ids of a piece of template such as ``"\\nSentiment:"``, split as the tokenizer splits it (words of the world only)."""
    out: list[int] = []
    rest = piece.replace(" ", "Ġ").replace("\n", "Ċ")
    while rest:
        size = next(n for n in range(len(rest), 0, -1) if rest[:n] in _ids())
        out.append(_ids()[rest[:size]])
        rest = rest[size:]
    return out


def special_id(name: str) -> int:
    """The id of ``<bos>``, ``<eos>`` or ``<pad>``."""
    return SPECIALS.index(name)


def build_tokenizer() -> Any:
    """A ``tokenizers.Tokenizer``: byte-level pieces, then the most whole words (a unigram model with fixed scores).

    Any text comes back unchanged from ``decode(encode(text))``. ``" word"`` is one token for each word of the world.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

    pieces = [(token, 0.0 if token in SPECIALS else -10.0 if len(token) == 1 else -1.0) for token in vocabulary()]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=special_id(PAD), byte_fallback=False))
    split = Regex(r" ?[A-Za-z]+| ?[-=]>| ?[.,;!?]|\s|[^\s]")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, special_id(BOS))]
    )
    return tokenizer


def save_tokenizer(directory: str | Path, n_ctx: int) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` for ``transformers.AutoTokenizer`` into ``directory``."""
    import json

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    build_tokenizer().save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": n_ctx, "clean_up_tokenization_spaces": False,
        "bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "add_bos_token": True, "padding_side": "right",
    }  # fmt: skip
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def decode(ids: Sequence[int]) -> str:
    """The text of ids of whole words and pieces (a helper for reading generated sequences)."""
    return build_tokenizer().decode(list(ids), skip_special_tokens=False)
