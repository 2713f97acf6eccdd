"""Importing this puts the project's packages before this folder, whose `training.py` bears the name of one of them."""

import sys
from pathlib import Path

FOLDER = str(Path(__file__).parent)

sys.path[:] = [*(entry for entry in sys.path if entry != FOLDER), FOLDER]
