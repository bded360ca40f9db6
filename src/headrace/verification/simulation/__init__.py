"""Simulation of a pipeline: daily deliveries with incidents, and the outcome of each incident."""
