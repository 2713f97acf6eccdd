"""The demo task: a document generator and the small base."""
