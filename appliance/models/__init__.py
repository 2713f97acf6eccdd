"""Model artifacts: their identity and manifest, and the store of installed models."""
