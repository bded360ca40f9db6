"""Simulation of a pipeline: daily deliveries with incidents, and what becomes of them."""
