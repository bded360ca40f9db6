"""Event streams into published tables: the same contract and gate of rows, each event once."""

from headrace.streams.spec import KafkaTopic, NatsSubject, NoFiles, RedisStream, Stream

__all__ = ["KafkaTopic", "NatsSubject", "NoFiles", "RedisStream", "Stream"]
