"""Catalogue of faults for measuring the gate: they are injected in real batches, day by day."""

from headrace.verification.injected_faults.catalogue import InjectedFault, faults_of
from headrace.verification.injected_faults.clean_batch import Day

__all__ = ["Day", "InjectedFault", "faults_of"]
