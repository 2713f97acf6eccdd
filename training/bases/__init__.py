"""Base models on the builder's machine: the store of them, and what the files of each say of it.

A base is a folder `bases/<name>/` of the home folder with config.json, tokenizer.json, safetensors and a record of
where it comes from. `training.base_sources` and the hub bring them.
"""
