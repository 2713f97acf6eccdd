"""Verbs of the exports."""
