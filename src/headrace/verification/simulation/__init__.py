"""Simulation of a pipeline: deliveries day by day, incidents, and their outcome."""
