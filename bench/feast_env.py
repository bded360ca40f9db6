"""Environment of Feast, which takes about 600 MB: `python -m bench.feast_env`."""

from pathlib import Path

from bench import peer_env


def python() -> Path:
    """Return the interpreter of the environment, which is first made or renewed if necessary."""
    return peer_env.python("feast")


def environment() -> dict[str, str]:
    """Return variables for its processes: no telemetry, and no modules of our environment."""
    return {**peer_env.environment(), "FEAST_USAGE": "False", "FEAST_TELEMETRY": "False"}


if __name__ == "__main__":
    print(python())
