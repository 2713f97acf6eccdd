"""The ways of a base into the store: a folder, a GGUF file, a wheel of the package index.

Each fills a folder beside the base's place, which is examined like any stranger's and then renamed whole.
"""
