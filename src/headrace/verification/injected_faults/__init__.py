"""Faults that are injected in real batches, day by day, to measure how many the gate detects."""

from headrace.verification.injected_faults.catalogue import InjectedFault, faults_of
from headrace.verification.injected_faults.clean_batch import Day

__all__ = ["Day", "InjectedFault", "faults_of"]
