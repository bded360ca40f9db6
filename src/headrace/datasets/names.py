"""The words that declarations and readers share; light, so that opening a release stays so."""

import re

SPLITS = ("train", "valid", "test")
# A fourth one, for some datasets: rows like production's, kept apart from all tuning.
EVALUATION = "evaluation"
PLACES = (*SPLITS, EVALUATION)
# Of datasets and models: a folder name everywhere, and never a path.
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
