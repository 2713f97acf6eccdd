"""Who answers: the local model, a frontier, or a person; and what may leave the machine for it."""
