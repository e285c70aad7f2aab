"""A layer job as a value: every descriptor field by name, its bytes, and the checks before submitting."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..config import SpAttenConfig
from ..errors import UserError
from ..interface import validate
from ..interface.descriptor import FIELDS, HEADER_WORDS, SCALE_FIELDS, SCALE_WORDS, Field


class JobRefused(UserError):
    """The job breaks rules of the descriptor or of the build; one line naming all of them."""

    def __init__(self, violations: list[str]):
        self.violations = violations
        super().__init__("job refused: " + "; ".join(violations))


@dataclass(frozen=True)
class HeadScale:
    """How one query head's scores become exponents and its sums outputs (`SCALE_FIELDS`)."""

    score_mant: int = 0
    score_pre: int = 0
    score_post: int = 0
    out_mant: int = 0
    out_shift: int = 0


@dataclass(frozen=True)
class LayerJob:
    """One layer (or one layer of one generation step). Fields are those of the descriptor, all integers.

    `scales` has one entry per query head. Addresses and strides are bytes: those of planes local to a channel, those of
    words with the channel's number above.
    """

    dim: int
    tokens: int
    scales: tuple[HeadScale, ...]
    generate: int = 0
    causal: int = 0
    restart: int = 0
    clear_scores: int = 0
    load_scores: int = 0
    load_ids: int = 0
    store_ids: int = 0
    store_scores: int = 0
    barrier: int = 0
    q_bits: int = 12
    k_msb: int = 12
    k_lsb: int = 0
    v_msb: int = 12
    v_lsb: int = 0
    threshold: int = 0
    heads: int = 1
    group: int = 1
    keep_tokens: int = (1 << 32) - 1
    keep_heads: int = (1 << 32) - 1
    keep_values: int = (1 << 32) - 1
    protect_first: int = 0
    protect_last: int = 0
    q_base: int = 0
    k_msb_base: int = 0
    k_lsb_base: int = 0
    v_msb_base: int = 0
    v_lsb_base: int = 0
    out_base: int = 0
    ids_in: int = 0
    ids_out: int = 0
    scores_in: int = 0
    scores_out: int = 0
    q_head_stride: int = 0
    q_token_stride: int = 0
    k_msb_head_stride: int = 0
    k_msb_token_stride: int = 0
    k_lsb_head_stride: int = 0
    k_lsb_token_stride: int = 0
    v_msb_head_stride: int = 0
    v_msb_token_stride: int = 0
    v_lsb_head_stride: int = 0
    v_lsb_token_stride: int = 0
    out_head_stride: int = 0
    out_token_stride: int = 0
    lsb_margin: int = 0
    mass_share: int = 0
    lsb_by_key: int = 0
    give_back: int = 0
    queries: int = 0

    @property
    def query_heads(self) -> int:
        return self.heads * self.group

    @property
    def query_rows(self) -> int:
        """Rows of a query head in Q and in the output: tokens of a prompt, queries of a generation job."""
        return max(1, self.queries) if self.generate else self.tokens

    def width(self, operands: str) -> int:
        """Bits of an element of the plane "q", "k_msb", "k_lsb", "v_msb" or "v_lsb"."""
        return self.q_bits if operands == "q" else int(getattr(self, operands))

    def replace(self, **changes: object) -> LayerJob:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    @property
    def fields(self) -> dict[str, int]:
        """The header fields by name."""
        return {f.name: int(getattr(self, f.name)) for f in FIELDS}


def descriptor_bytes(query_heads: int) -> int:
    """Size of a descriptor."""
    return 8 * (HEADER_WORDS + SCALE_WORDS * query_heads)


def _put(words: list[int], first: int, f: Field, value: int, owner: str) -> None:
    if not 0 <= value < 1 << f.width:
        high = (1 << f.width) - 1
        raise JobRefused([f"{owner}{f.name} = {value}: must be 0 … {high}; choose a value in range"])
    words[first + f.word] |= value << f.lsb


def encode(job: LayerJob) -> bytes:
    """The descriptor of `job`. Raises `JobRefused` if a value does not fit its field."""
    if len(job.scales) != job.query_heads:
        raise JobRefused([f"scales has {len(job.scales)} entries: must have heads × group = "
                          f"{job.query_heads}; give one per query head"])
    words = [0] * (HEADER_WORDS + SCALE_WORDS * job.query_heads)
    for f in FIELDS:
        _put(words, 0, f, int(getattr(job, f.name)), "")
    for h, scale in enumerate(job.scales):
        for f in SCALE_FIELDS:
            _put(words, HEADER_WORDS + SCALE_WORDS * h, f, int(getattr(scale, f.name)), f"scales[{h}].")
    return b"".join(w.to_bytes(8, "little") for w in words)


def decode(data: bytes) -> LayerJob:
    """The job a descriptor describes: the inverse of `encode`."""
    words = [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data), 8)]

    def get(first: int, f: Field) -> int:
        return words[first + f.word] >> f.lsb & ((1 << f.width) - 1)

    header = {f.name: get(0, f) for f in FIELDS}
    heads = header["heads"] * header["group"]
    scales = tuple(
        HeadScale(**{f.name: get(HEADER_WORDS + SCALE_WORDS * h, f) for f in SCALE_FIELDS})
        for h in range(heads))
    return LayerJob(scales=scales, **header)


def check(job: LayerJob, config: SpAttenConfig, address: int = 0) -> None:
    """Refuses a job that the hardware would refuse, before anything of it is written.

    The rules are those the hardware is built from (`interface.validate`), so host and RTL agree. `address` is
    where the descriptor will lie.
    """
    if len(job.scales) != job.query_heads:
        raise JobRefused([f"scales has {len(job.scales)} entries: must have heads × group = "
                          f"{job.query_heads}; give one per query head"])
    if job.queries and not config.chunk_queries:
        raise JobRefused([f"queries is {job.queries}, but the build has chunk_queries = 0: give one job per token, or "
                          "use a build with chunk_queries = 1"])
    scales = [dataclasses.asdict(s) for s in job.scales]
    broken = validate.check(config, job.fields, scales, address)
    if broken:
        raise JobRefused([code.text for code in broken])
