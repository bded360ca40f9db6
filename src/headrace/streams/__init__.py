"""Event streams into published tables, with the contracts and row checks of batches."""

from headrace.sources.base import NoFiles
from headrace.streams.spec import KafkaTopic, NatsSubject, RedisStream, Stream

__all__ = ["KafkaTopic", "NatsSubject", "NoFiles", "RedisStream", "Stream"]
