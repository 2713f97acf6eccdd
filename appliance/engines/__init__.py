"""Text to answers: the engine protocol and its implementations."""
