"""Words of 64 bits in memory: where an address of words lies, and what saved survivors look like."""

from __future__ import annotations

import numpy as np

from ..config import SpAttenConfig

WORD_BYTES = 8


def place_of_words(addr: int, config: SpAttenConfig) -> tuple[int, int]:
    """(channel, local byte address) of an address of words."""
    return addr >> config.axi_addr_bits, addr & ((1 << config.axi_addr_bits) - 1)


def survivor_words(tokens: int, heads: int) -> int:
    """64-bit words of saved survivors: their numbers, then a bit for every token, then one for every head."""
    return 1 + -(-tokens // 64) + -(-heads // 64)


def pack_survivors(tokens: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """The words (uint64) of survivors, bool [tokens] and [heads]: bit i of word w of a bitmap is number 64·w + i."""
    words = [np.array([int(tokens.sum()) | int(heads.sum()) << 32], dtype=np.uint64)]
    for alive in (tokens, heads):
        bits = np.pad(np.asarray(alive, dtype=bool), (0, -len(alive) % 64))
        words.append(np.packbits(bits, bitorder="little").view("<u8").astype(np.uint64))
    return np.concatenate(words)


def unpack_survivors(words: np.ndarray, tokens: int, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `tokens` tokens and `heads` heads are alive: the inverse of `pack_survivors`."""
    w = np.asarray(words, dtype="<u8")
    middle = 1 + -(-tokens // 64)
    alive_tokens = np.unpackbits(w[1:middle].view(np.uint8), bitorder="little")
    alive_heads = np.unpackbits(w[middle:survivor_words(tokens, heads)].view(np.uint8), bitorder="little")
    return alive_tokens[:tokens].astype(bool), alive_heads[:heads].astype(bool)
