"""Number of distinct values by HyperLogLog; registers are merged by their maximum.

Flajolet et al. 2007, with the estimator of Ertl 2017 ("New cardinality estimation algorithms for
HyperLogLog sketches", algorithm 6), which is accurate from 0 to 2^52 without special cases.
"""

import math

import numpy as np
import numpy.typing as npt

from headrace.sketches.arrays import Ints, Words

PRECISION = 10
REGISTERS = 1 << PRECISION
DEVIATION = 1.04 / math.sqrt(REGISTERS)  # the standard error, relative: 3.25 percent
_REST = 52  # bits of a hash that give a register's value: as many as a double's mantissa has
_ROWS = 1 << 14  # rows at a time, so that intermediate arrays stay in the processor's cache

Registers = npt.NDArray[np.uint8]


def hashed(words: Words) -> Words:
    """Return a well-mixed hash of each word (splitmix64; Steele, Lea, Flood 2014)."""
    mixed = words + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def record(registers: Registers, part: Ints, words: Words) -> None:
    """Add each word to the registers of its part; their shape is (parts, REGISTERS)."""
    flat = registers.reshape(-1)
    for start in range(0, len(words), _ROWS):
        hashes = hashed(words[start : start + _ROWS])
        place = (hashes >> np.uint64(64 - PRECISION)).view(np.int64)
        place += part[start : start + _ROWS] * REGISTERS
        np.maximum.at(flat, place, _values(hashes))


def _values(hashes: Words) -> Registers:
    """Return 1 + the leading zeros of each hash's last 52 bits, from a double's exponent."""
    odd = ((hashes & np.uint64((1 << _REST) - 1)) << np.uint64(1)).view(np.int64) + 1
    exponent = odd.astype(np.float64).view(np.int64) >> 52
    return (_REST + 1 + 1023 - exponent).astype(np.uint8)


def estimate(registers: Registers) -> float:
    """Estimate the number of distinct words in the registers, whose shape is (REGISTERS,)."""
    times = np.bincount(registers, minlength=_REST + 2).tolist()
    total = REGISTERS * _tau(1 - times[_REST + 1] / REGISTERS)
    for value in range(_REST, 0, -1):
        total = 0.5 * (total + times[value])
    total += REGISTERS * _sigma(times[0] / REGISTERS)
    return float(REGISTERS * REGISTERS / (2 * math.log(2) * total))


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    factor, total, before = 1.0, x, -1.0
    while total != before:
        x *= x
        before, total = total, total + x * factor
        factor += factor
    return total


def _tau(x: float) -> float:
    if x in {0, 1}:
        return 0.0
    factor, total, before = 1.0, 1 - x, -1.0
    while total != before:
        x = math.sqrt(x)
        factor /= 2
        before, total = total, total - (1 - x) ** 2 * factor
    return total / 3
