"""A simulated world: deliveries day by day, with all that goes wrong, and what became of it."""
