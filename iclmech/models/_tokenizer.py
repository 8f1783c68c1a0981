"""The tokenizer of a checkpoint, held against its own tokenizer.json.

transformers picks the class of a tokenizer by the model's type. Where a checkpoint of that type comes with another
tokenizer, the class may be wrong and say nothing: it loads, and gives other ids. The file itself is the judge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iclmech._base import ModelError

_TEXTS = ("the film was", " negative", " positive", "Review: a fine film\nSentiment:", "12 apples, 3 pears", "naïve")


def load_tokenizer(source: str, *, trust_remote_code: bool = False, gguf_file: str | None = None) -> Any:
    """The tokenizer at a directory or hub name, whose ids are those of its tokenizer.json where it has one.

    Args:
        source: a directory or a hub name.
        trust_remote_code: passed to transformers.
        gguf_file: name of the GGUF file in the directory that holds the tokenizer.

    Raises:
        ModelError: neither transformers' class for it nor the plain reading of tokenizer.json gives its ids.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    more: dict[str, Any] = {"gguf_file": gguf_file} if gguf_file else {"trust_remote_code": trust_remote_code}
    tokenizer = AutoTokenizer.from_pretrained(source, **more)
    file = None if gguf_file else _file(source)
    if file is None:
        wrong = garbled(tokenizer)
        if wrong:
            raise ModelError(
                f"{source} could not be loaded: its tokenizer does not give texts back: {wrong}. Expected ids that decode to "
                "what was encoded. Are its files there? Put them beside the weights with tokenizer.save_pretrained(...)."
            )
        return tokenizer
    if not differs(tokenizer, file):
        return tokenizer
    plain = PreTrainedTokenizerFast.from_pretrained(source)
    wrong = differs(plain, file)
    if wrong and garbled(plain):
        raise ModelError(
            f"{source} could not be loaded: its tokenizer contradicts its tokenizer.json: {wrong}. Expected the ids of that file. Check "
            "tokenizer_config.json, or save the tokenizer again with save_pretrained."
        )
    return plain


def differs(tokenizer: Any, file: Path) -> str:
    """The first text for which `tokenizer` gives other ids than a tokenizer.json, with both; "" where there is none."""
    from tokenizers import Tokenizer

    judge = Tokenizer.from_file(str(file))
    judge.no_padding()
    judge.no_truncation()
    size = judge.get_vocab_size()
    some = judge.decode(list(range(size // 2, size, max(1, size // 40)))[:20])
    for text in (*_TEXTS, some):
        got, expected = _ids(tokenizer, text), judge.encode(text, add_special_tokens=False).ids
        if got != expected:
            return f"{text[:40]!r} gives {got[:8]}, the file {expected[:8]}"
    return ""


def garbled(tokenizer: Any) -> str:
    """The first text that does not survive encoding and decoding, but for case and white space; "" where all do.

    A text with unknown tokens cannot survive, and is passed over.
    """
    for text in _TEXTS:
        ids = _ids(tokenizer, text)
        if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
            continue
        back = tokenizer.decode(ids)
        if _squeezed(back) != _squeezed(text):
            return f"{text!r} comes back as {back[:40]!r}"
    return ""


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _squeezed(text: str) -> str:
    return "".join(text.casefold().split())


def _file(source: str) -> Path | None:
    from transformers.utils.hub import cached_file

    try:
        found = cached_file(source, "tokenizer.json", _raise_exceptions_for_missing_entries=False)
    except Exception:  # a hub that cannot be reached: the tokenizer came from the cache, the judge is absent
        return None
    return Path(found) if found else None
