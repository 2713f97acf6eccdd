"""New documents written by a teacher around values that were drawn first, so that their labels hold by construction."""
