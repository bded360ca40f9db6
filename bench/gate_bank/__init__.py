"""Section of the benchmarks page about the gate on real tables: `python -m bench.gate_bank`."""
