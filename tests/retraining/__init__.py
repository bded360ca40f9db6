"""Tests of retraining from a trigger to a champion."""
