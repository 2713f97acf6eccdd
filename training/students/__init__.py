"""The two kinds of student, decoder and encoder, behind one protocol that the one training loop speaks."""
