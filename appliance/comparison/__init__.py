"""Two or more models on the same documents: who is right more often, how fast, for how much money."""
