"""What is asked of a document, and how it is put to a model."""
