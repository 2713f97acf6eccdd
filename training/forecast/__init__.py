"""What more labels, a student of one's own, and a dearer teacher are worth, before they are paid for."""
