"""Numeric column that a query returns in pieces."""

from collections.abc import Iterable
from typing import Any

import numpy as np

Numbers = np.ndarray[Any, np.dtype[Any]]
CHUNK_NUMBERS = 8_000_000  # maximum number of 8-byte numbers in memory at a time: 64 MB


def gathered(pieces: Iterable[Numbers], kind: type[np.generic], expected: int = 0) -> Numbers:
    """Copy all pieces to one array; unlike concatenation, this keeps only one piece in memory."""
    array, used = np.empty(expected, kind), 0
    for piece in pieces:
        end = used + len(piece)
        if end > len(array):
            grown: Numbers = np.empty(end + end // 8, kind)
            grown[:used] = array[:used]
            array = grown
        array[used:end] = piece
        used = end
    return array[:used]
