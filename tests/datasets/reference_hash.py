"""A slow content hash, written from `docs/reference/content-hash.md` and nothing else."""

import datetime as dt
import hashlib
import json
import math
import struct

EPOCH = dt.datetime.fromisoformat("1970-01-01T00:00:00")


def cell(kind, value):
    wide = 16 if kind in ("string", "binary") else 8
    if value is None:
        return b"\x00" + b"\x00" * wide
    if kind == "int64":
        return b"\x01" + struct.pack("<q", value)
    if kind == "float64":
        if math.isnan(value):
            return b"\x02" + bytes.fromhex("000000000000f87f")
        return b"\x02" + struct.pack("<d", 0.0 if value == 0 else value)
    if kind == "bool":
        return b"\x03" + struct.pack("<q", 1 if value else 0)
    if kind == "timestamp":
        return b"\x04" + struct.pack("<q", micros(value.astimezone(dt.UTC).replace(tzinfo=None)))
    if kind == "string":
        return b"\x05" + hashlib.blake2b(value.encode(), digest_size=16).digest()
    if kind == "local_timestamp":
        return b"\x06" + struct.pack("<q", micros(value))
    if kind == "date":
        return b"\x07" + struct.pack("<q", (value - EPOCH.date()).days)
    assert kind == "binary"
    return b"\x08" + hashlib.blake2b(value, digest_size=16).digest()


def micros(moment):
    return (moment - EPOCH) // dt.timedelta(microseconds=1)


def total(columns):
    """`columns`: {name: (canonical type, list of Python values)}."""
    names = sorted(columns)
    count = len(columns[names[0]][1]) if names else 0
    result = 0
    for n in range(count):
        row = b"".join(cell(columns[name][0], columns[name][1][n]) for name in names)
        digest = hashlib.blake2b(row, digest_size=32).digest()
        result = (result + int.from_bytes(digest, "little")) % 2**256
    return count, result


def reference_hash(columns):
    count, value = total(columns)
    schema = json.dumps(
        [[name, columns[name][0]] for name in sorted(columns)],
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    body = b"content-1".join([b"headrace-", b"\n"]) + schema + b"\n"
    body += struct.pack("<Q", count) + value.to_bytes(32, "little")
    return hashlib.sha256(body).hexdigest()
