"""The environment of Feast, which takes about 600 MB: `python -m bench.feast_env`."""

from pathlib import Path

from bench import peer_env


def python() -> Path:
    """The interpreter of the environment, which is made or renewed first where it has to be."""
    return peer_env.python("feast")


def environment() -> dict[str, str]:
    """Variables for a process in it: no telemetry, and nothing of our own environment's modules."""
    return {**peer_env.environment(), "FEAST_USAGE": "False", "FEAST_TELEMETRY": "False"}


if __name__ == "__main__":
    print(python())
