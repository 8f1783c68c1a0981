"""The plain twin of a model: the same weights in a transformers model, without hooks."""
