"""The verbs of training, one module each."""
