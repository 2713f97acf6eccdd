"""Decoder students in GGUF, on llama.cpp."""
