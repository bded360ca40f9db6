"""Real tables on which the gate is judged: `python -m bench.gate_bank`."""
