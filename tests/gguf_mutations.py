"""GGUF files that are damaged in one or a few places: drawn by number, so that each can be made again."""

import random
import struct

from appliance.models.gguf_header import KIND_NAMES

EXTREMES = (0, 1, 2, 3, 7, 8, 127, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**33, 2**62, 2**63 - 1, 2**63,
            2**64 - 1, 2**64 - 32)  # fmt: skip
_FIXED_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def fields_of(content: bytes) -> tuple[list[tuple[int, int]], int]:
    """Place and length of every count, length, type, dimension, offset and scalar of a sound file; where its head ends.

    Written apart from the reader that it tests.
    """
    places, at = [(4, 4), (8, 8), (16, 8)], 24
    tensors, keys = struct.unpack_from("<QQ", content, 8)

    def string() -> None:
        nonlocal at
        places.append((at, 8))
        (length,) = struct.unpack_from("<Q", content, at)
        places.append((at + 8, max(1, length)))
        at += 8 + length

    def value(kind: int) -> None:
        nonlocal at
        if kind == 8:
            string()
        else:
            places.append((at, _FIXED_BYTES[kind]))
            at += _FIXED_BYTES[kind]

    for _ in range(keys):
        string()
        places.append((at, 4))
        (kind,) = struct.unpack_from("<I", content, at)
        at += 4
        if kind != 9:
            value(kind)
            continue
        places += [(at, 4), (at + 4, 8)]
        kind, count = struct.unpack_from("<IQ", content, at)
        at += 12
        for _ in range(count):
            value(kind)
    for _ in range(tensors):
        string()
        places.append((at, 4))
        (dimensions,) = struct.unpack_from("<I", content, at)
        at += 4
        for _ in range(dimensions):
            places.append((at, 8))
            at += 8
        places += [(at, 4), (at + 4, 8)]
        at += 12
    return places, at


def mutation(content: bytes, places: list[tuple[int, int]], head_bytes: int, number: int) -> bytes:
    """The file with the damage of this number."""
    draw = random.Random(number)
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        kind = draw.random()
        if kind < 0.5:  # another value in a field
            # Early fields count more: a vocabulary's thousands of strings are all of one kind.
            at, length = draw.choice(places[:60] + places[-200:] if draw.random() < 0.7 else places)
            new = draw.choice(EXTREMES) if draw.random() < 0.7 else draw.getrandbits(64)
            if draw.random() < 0.15:
                new = int.from_bytes(damaged[at : at + min(8, length)], "little") + draw.choice((-1, 1, 8, 256))
            if draw.random() < 0.1:
                new = draw.choice(list(KIND_NAMES))
            length = min(length, 8)
            damaged[at : at + length] = (new % 2 ** (8 * length)).to_bytes(length, "little")
        elif kind < 0.7:  # bits
            for _ in range(draw.choice((1, 1, 3, 16))):
                at = draw.randrange(head_bytes if draw.random() < 0.7 else len(damaged))
                damaged[at % len(damaged)] ^= 1 << draw.randrange(8)
        elif kind < 0.8:  # cut
            del damaged[draw.randrange(head_bytes if draw.random() < 0.5 else len(damaged)) :]
        elif kind < 0.9:  # taken out, or put in
            at, length = draw.randrange(len(damaged) + 1), draw.choice((1, 4, 8, 32, 1000))
            damaged[at : at + length * draw.randrange(2)] = draw.randbytes(length * draw.randrange(2))
        elif kind < 0.95:  # a stretch of extremes
            at, length = draw.randrange(len(damaged) + 1), draw.choice((2, 4, 8, 64))
            damaged[at : at + length] = draw.choice((b"\0", b"\xff", b"\x7c", b"\x7f")) * length
        else:  # one part for another
            first, second = draw.choice(places), draw.choice(places)
            part = damaged[first[0] : first[0] + first[1]]
            damaged[second[0] : second[0] + len(part)] = part
        if not damaged:
            break
    return bytes(damaged)
