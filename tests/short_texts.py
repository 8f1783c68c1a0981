"""Inputs of mixed length in the words of the tiny models' tokenizer."""

TEXTS = [
    "fine",
    "dull film",
    "it is what it is",
    "great acting, poor story",
    "a",
    "never starts",
    "moves you",
    "the film",
]
