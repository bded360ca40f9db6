"""Other tools on the days and the injected faults on which the gate is judged."""
