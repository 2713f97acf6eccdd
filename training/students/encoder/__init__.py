"""Encoder students: LoRA and a classification head on a sentence encoder."""
