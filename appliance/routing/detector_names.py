"""Names and limits of the detectors, for policies; the detectors themselves are loaded where a text is searched."""

DETECTOR_NAMES = ("mail", "iban", "card", "national_id", "phone")
MASKED_DIGITS = 9
"""From so many digits on a number is masked whatever it is, because ids have nine and more; a policy may differ."""
LEAST_DIGITS = 4
"""Fewer would mask quantities and years, and leave nothing to answer from."""
