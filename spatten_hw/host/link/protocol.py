"""The serial link between host and board: every constant and layout, for both sides (docs/link.md).

A frame is the bytes between two flags: header, payload, CRC-32 (the one of Ethernet and zlib, least significant byte
first). Flags and escapes inside are stuffed as in HDLC: `ESCAPE`, then the byte with bit 5 inverted. Only one request
is outstanding; the board answers every intact one exactly once, and a damaged one with `Op.DAMAGED`.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import dataclass

#: Baud rate of boards and host unless told otherwise.
DEFAULT_BAUD = 1_000_000
FLAG, ESCAPE, ESCAPE_XOR = 0x7E, 0x7D, 0x20
#: Bytes of data that one frame carries at most.
MAX_PAYLOAD = 1024
#: Request: op, sequence number, bytes of data (sent or asked for), address.
REQUEST = struct.Struct("<BBHI")
#: Response: op | RESPONSE, sequence number, bytes of payload, status, flags, damaged frames so far (modulo 2^16).
RESPONSE_HEADER = struct.Struct("<BBHBBH")
HEADER_BYTES = 8
CRC_BYTES = 4
#: Set in the op of every response.
RESPONSE = 0x80
#: First word of an identification: "SpAL" in memory order.
MAGIC = int.from_bytes(b"SpAL", "little")
#: Major and minor version of the protocol; another major one does not understand this one.
PROTOCOL_VERSION = 1 << 16 | 0
#: Identification: magic, protocol version, configuration hash, clock in Hz, bytes of memory, beat bytes, cycles.
IDENTITY = struct.Struct("<IIIIQIQ")
#: Payload of a status: clock cycles since the board started.
CYCLES = struct.Struct("<Q")


class Op(enum.IntEnum):
    """What a request asks for; `DAMAGED` stands only in responses."""

    DAMAGED = 0
    IDENTIFY = 1
    STATUS = 2
    READ_REGISTER = 3
    WRITE_REGISTER = 4
    READ_MEMORY = 5
    WRITE_MEMORY = 6
    RESET = 7


class Status(enum.IntEnum):
    """How a request went."""

    OK = 0
    BAD_REQUEST = 1     # an unknown op, or a payload that does not fit it
    BAD_ADDRESS = 2     # beyond the registers or the memory; nothing was done
    BUS_ERROR = 3       # the register or the memory answered with an error


class Flag(enum.IntFlag):
    """The flags of a response."""

    IRQ = 1             # the accelerator's interrupt, level


class DamagedFrame(ValueError):
    """Bytes between two flags that are not an intact frame."""


@dataclass(frozen=True)
class Response:
    """An intact frame from the board."""

    op: int
    sequence: int
    status: int
    flags: int
    damaged: int
    payload: bytes


@dataclass(frozen=True)
class Identity:
    """What a board says of itself: `protocol` version, `config_hash`, `clock_hz`, `memory_bytes`, `beat_bytes`, and
    the clock `cycles` since it started."""

    protocol: int
    config_hash: int
    clock_hz: int
    memory_bytes: int
    beat_bytes: int
    cycles: int


def encode(op: Op, sequence: int, address: int = 0, length: int = 0, payload: bytes = b"") -> bytes:
    """A request as it goes over the line, flags included. `length` 0 with a payload means the payload's."""
    return frame(REQUEST.pack(op, sequence, length or len(payload), address) + payload)


def encode_response(response: Response) -> bytes:
    """A response as it goes over the line: what the hardware does, for test doubles."""
    return frame(RESPONSE_HEADER.pack(response.op | RESPONSE, response.sequence, len(response.payload),
                                      response.status, response.flags, response.damaged) + response.payload)


def frame(content: bytes) -> bytes:
    """Flag, content and its CRC with flags and escapes stuffed, flag."""
    content += zlib.crc32(content).to_bytes(CRC_BYTES, "little")
    content = content.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ ESCAPE_XOR]))
    content = content.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ ESCAPE_XOR]))
    return bytes([FLAG]) + content + bytes([FLAG])


def unframe(stuffed: bytes) -> bytes:
    """Header and payload of what lay between two flags. Raises `DamagedFrame`."""
    content = bytearray()
    parts = iter(stuffed)
    for byte in parts:
        if byte == ESCAPE:
            byte = next(parts, -1) ^ ESCAPE_XOR
            if byte < 0:
                raise DamagedFrame("ends in an escape")
        content.append(byte)
    if len(content) < HEADER_BYTES + CRC_BYTES:
        raise DamagedFrame(f"has {len(content)} bytes")
    body, crc = bytes(content[:-CRC_BYTES]), int.from_bytes(content[-CRC_BYTES:], "little")
    if zlib.crc32(body) != crc:
        raise DamagedFrame("has a wrong CRC")
    return body


def decode_response(stuffed: bytes) -> Response:
    """The response between two flags. Raises `DamagedFrame`."""
    body = unframe(stuffed)
    op, sequence, length, status, flags, damaged = RESPONSE_HEADER.unpack_from(body)
    if not op & RESPONSE or length != len(body) - HEADER_BYTES:
        raise DamagedFrame("is no response")
    return Response(op & ~RESPONSE, sequence, status, flags, damaged, body[HEADER_BYTES:])


def decode_identity(payload: bytes) -> Identity:
    """The payload of an `IDENTIFY`. Raises `DamagedFrame` if it is none."""
    if len(payload) != IDENTITY.size or IDENTITY.unpack(payload)[0] != MAGIC:
        raise DamagedFrame("is no identification")
    return Identity(*IDENTITY.unpack(payload)[1:])
