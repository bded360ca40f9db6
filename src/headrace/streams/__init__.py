"""Event streams into published tables: the same contract and gate of rows, each event once."""

from headrace.sources.base import NoFiles
from headrace.streams.spec import KafkaTopic, NatsSubject, RedisStream, Stream

__all__ = ["KafkaTopic", "NatsSubject", "NoFiles", "RedisStream", "Stream"]
