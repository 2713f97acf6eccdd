"""One module per verb of the runtime."""
