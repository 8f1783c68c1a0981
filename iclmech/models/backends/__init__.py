"""One file for each kind of TransformerLens model: nothing else knows which it is."""
