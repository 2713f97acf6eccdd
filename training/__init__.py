"""Distillation: collect, curate, train, merge."""
