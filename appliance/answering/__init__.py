"""One way to an answer: requests in, results out, from a local model, a frontier, or one after the other."""
