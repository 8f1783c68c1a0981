"""The experiment `steer`: what a vector in the place of the context does, beside its controls."""
