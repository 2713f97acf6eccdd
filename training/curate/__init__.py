"""From teacher answers to a dataset: filters with reasons, then a split that keeps siblings together."""
