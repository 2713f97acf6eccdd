"""Jobs, documents and models as lines of cells."""
