"""Decoder students: LoRA on a causal language model that writes one value a line."""
