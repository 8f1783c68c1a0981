"""Three kinds of tokenizers, built here: byte-level BPE (GPT-2), words with unknowns, and SentencePiece-like (Llama)."""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = (
    "Review: a fine film , really good\nSentiment: positive\n",
    "Review: a dull and boring film\nSentiment: negative\n",
    "Sentence: the plot is thin Label: bad terrible great neutral good objective subjective True False Neither\n",
)


def byte_level(**kwargs: Any) -> PreTrainedTokenizerFast:
    """GPT-2's way: a space belongs to the word after it, and every text has tokens."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(CORPUS * 5, trainer)
    options = {"bos_token": "<bos>", "eos_token": "<eos>", **kwargs}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **options)


def words(**kwargs: Any) -> PreTrainedTokenizerFast:
    """One token a word; what is not known is unknown, and white space is nothing."""
    vocabulary = dict.fromkeys(
        ["<bos>", "<eos>", "<unk>", ":", ";", ",", ".", *" ".join(CORPUS).replace(":", "").split()]
    )
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    options = {"bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>", **kwargs}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **options)


def metaspace(**kwargs: Any) -> PreTrainedTokenizerFast:
    """Llama's way: a space is put before whatever is tokenised; unknown characters fall back to bytes."""
    specials = ["<unk>", "<s>", "</s>"]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyzLRSTFNQ:,.?x"]
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *dict.fromkeys(letters), "▁f", "▁fi", "▁a"]
    inner = Tokenizer(
        models.BPE(
            {piece: i for i, piece in enumerate(pieces)},
            [("▁", "f"), ("▁f", "i"), ("▁", "a")],
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    options = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **kwargs}
    return PreTrainedTokenizerFast(tokenizer_object=inner, **options)


KINDS = {"byte_level": byte_level, "words": words, "metaspace": metaspace}
