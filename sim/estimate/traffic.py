"""Bytes by class: the same counts as the hardware's counters, from the counts of `Work`.

For `Work.of_jobs` they are exactly those of the golden model (`sim/golden/accelerator.py`); for `Work.expected` the
mean, where counts are means.
"""

from __future__ import annotations

import numpy as np

from spatten_hw.config import OUT_BITS, SpAttenConfig
from spatten_hw.host.words import WORD_BYTES
from spatten_hw.interface.descriptor import HEADER_WORDS, SCALE_WORDS, scale_command_words

from .work import Work


def row_beats(dim: np.ndarray, bits: np.ndarray, config: SpAttenConfig) -> np.ndarray:
    """Beats of a row: rows begin on whole beats."""
    return np.ceil(dim * bits / 8 / config.beat_bytes)


def rows_read(work: Work) -> dict[str, np.ndarray]:
    """Operand rows read, by class; a plane that does not exist has none."""
    generate = work.generate > 0
    keys = work.heads * work.tokens
    flat_keys = work.heads * work.flat_heads * work.tokens
    rows = {
        "q": work.items * np.where(generate, 1, 1 + work.flat),
        "k_msb": keys,
        "k_lsb": np.where(work.k_lsb_bits > 0, flat_keys * work.near, 0),
        "v_msb": np.where(generate, work.heads * work.union, keys),
        "v_lsb": np.where(work.v_lsb_bits > 0, np.where(generate, work.heads * work.flat_union, flat_keys), 0),
    }
    return {name: _whole(count) for name, count in rows.items()}


def bytes_moved(work: Work, config: SpAttenConfig) -> dict[str, np.ndarray]:
    """Bytes by class (`BYTE_CLASSES`): whole beats."""
    widths = {"q": work.q_bits, "k_msb": work.k_bits, "k_lsb": work.k_lsb_bits, "v_msb": work.v_bits,
              "v_lsb": work.v_lsb_bits}
    found = {name: count * row_beats(work.dim, widths[name], config) * config.beat_bytes
             for name, count in rows_read(work).items()}
    out_bits = np.full(len(work), OUT_BITS)
    found["out"] = work.items * row_beats(work.dim, out_bits, config) * config.beat_bytes
    found["other"] = sum(words_moved(work, config).values(), np.zeros(len(work))) * config.beat_bytes
    return found


def words_moved(work: Work, config: SpAttenConfig) -> dict[str, np.ndarray]:
    """Beats of what is moved in words of 64 bits: "descriptor", "loads", "stores"."""
    survivors = 1 + np.ceil(work.context / 64) + np.ceil(work.all_heads / 64)
    scores = work.context + work.all_heads
    scales = SCALE_WORDS * work.all_heads * work.group
    nothing = np.zeros(len(work))
    first = work.descriptor_at + WORD_BYTES * HEADER_WORDS
    return {
        "descriptor": (_sections(work.descriptor_at, nothing + HEADER_WORDS, HEADER_WORDS, config)
                       + _sections(first, scales, scale_command_words(config), config)),
        "loads": (work.loads_state * _sections(work.ids_at, survivors, config.max_tokens, config)
                  + work.loads_scores * _sections(work.scores_at, scores, config.max_tokens, config)),
        "stores": (work.stores_state * _sections(nothing, survivors, 1 << 40, config)
                   + work.stores_scores * _sections(nothing, scores, 1 << 40, config)),
    }


def _sections(first: np.ndarray, words: np.ndarray, longest: int, config: SpAttenConfig) -> np.ndarray:
    """Beats of `words` words from byte address `first` on, in commands of at most `longest`: a beat that two commands
    share counts twice."""
    beat = config.beat_bytes
    whole = np.maximum(0, np.ceil(words / longest) - 1)
    last = first + WORD_BYTES * words - 1
    beats = last // beat - first // beat + 1
    # Beats that the ends of all but the last command share with the next.
    shared = np.zeros_like(beats)
    for n in range(1, int(whole.max(initial=0)) + 1):
        cut = first + WORD_BYTES * longest * n
        shared += (n <= whole) & (cut % beat != 0)
    return np.where(words > 0, beats + shared, 0)


def _whole(count: np.ndarray) -> np.ndarray:
    """Counts that are products of means made whole again, where they are whole."""
    near = np.rint(count)
    return np.where(np.abs(count - near) < 1e-6 * np.maximum(1, count), near, count)
