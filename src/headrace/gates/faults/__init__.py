"""The catalogue of faults that the gate is measured with: planted in real batches, day by day."""

from headrace.gates.faults.catalogue import Fault, faults_of
from headrace.gates.faults.day import Day

__all__ = ["Day", "Fault", "faults_of"]
