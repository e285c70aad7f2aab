"""One setting of everything that trades accuracy for savings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from spatten_hw.config import LSB_WIDTH, PLANE_WIDTHS, PROB_BITS, SpAttenConfig
from spatten_hw.errors import UserError
from spatten_hw.host.rules import PAPER, Rules
from spatten_hw.host.shape import Precision
from spatten_hw.host.workload.schedule import PaperSchedule
from spatten_hw.sim.models.decoder.settings import DecoderSettings
from spatten_hw.sim.models.eviction.policy import EVICTIONS
from spatten_hw.sim.models.llama.quantisers import SCALES

MODELS = ("encoder", "decoder", "smollm2", "classifier")
#: Those that see a whole text at once and generate nothing.
WHOLE_TEXT = ("encoder", "classifier")
#: First tokens that are never pruned, by decoder.
PROTECT_FIRST = {"decoder": 1, "smollm2": 4}
#: K quantised by channel before its rotation: measured, not what the memory format has.
UNROTATED = "unrotated"


class PointError(UserError):
    """A setting is wrong; one line."""


@dataclass(frozen=True)
class Point:
    """What is kept, in how many bits, and when LSBs are fetched.

    `keep_tokens`, `keep_heads`: part kept in the first layer after the front and in the last one (`PaperSchedule`);
    `keep_values`: part of the values alive, per query. `bits`: (MSB, LSB) of K and V; None: float64, no bytes.
    `q_bits` 0: all bits of K. `threshold` 0 … 1. `protect_last`: newest tokens that are never pruned (decoder).
    `pool_dropped`: pruned tokens stay in the mean over tokens as they were (encoder, classifier). `lsb_margin` (nats,
    decoder), `keep_mass`, `give_back`: decision rules (`Rules`). For the language model: `v_bits`: V's, None: as K's;
    `k_scale`, `v_scale`: what has a scale together (`SCALES`; K also "unrotated": quantised by channel before its
    rotation, to measure); `evict`: policy of eviction (`EVICTIONS`), `cache`: tokens that each K/V head keeps;
    `prompt_here`: the prompt runs under the point too, not densely in float before it.
    """

    model: str
    bits: tuple[int, int] | None = (8, 0)
    q_bits: int = 0
    threshold: float = 0.0
    keep_tokens: tuple[float, float] = (1.0, 1.0)
    keep_heads: tuple[float, float] = (1.0, 1.0)
    keep_values: float = 1.0
    front_tokens: float = 0.15
    front_heads: float = 0.30
    protect_last: int = 8
    pool_dropped: bool = False
    lsb_margin: float | None = None
    keep_mass: float | None = None
    give_back: bool = False
    v_bits: tuple[int, int] | None = None
    k_scale: str = "head"
    v_scale: str = "head"
    evict: str = ""
    cache: int = 0
    prompt_here: bool = False

    @property
    def rules(self) -> Rules:
        return Rules(self.lsb_margin, self.keep_mass, self.give_back)

    @property
    def schedule(self) -> PaperSchedule:
        """Raises `ScheduleError` for ratios out of range."""
        return PaperSchedule(
            prune_tokens=(1 - self.keep_tokens[0], 1 - self.keep_tokens[1]), prune_values=1 - self.keep_values,
            prune_heads=(1 - self.keep_heads[0], 1 - self.keep_heads[1]), front_tokens=self.front_tokens,
            front_heads=self.front_heads)

    @property
    def precision(self) -> Precision:
        if self.bits is None:
            raise ValueError("a point in float64 has no bits")
        return Precision(self.q_bits or sum(self.bits), self.bits, self.bits,
                         round(self.threshold * (1 << PROB_BITS)), self.rules)

    @property
    def decoder_settings(self) -> DecoderSettings:
        """For a decoder's jobs; a point in float64 gets some widths, which mean nothing there."""
        bits = (8, 0) if self.bits is None else self.bits
        return DecoderSettings(self.q_bits or sum(bits), bits, self.v_bits or bits, self.threshold, self.schedule,
                               PROTECT_FIRST[self.model], self.protect_last, self.rules)

    @property
    def prunes(self) -> bool:
        """Whether it saves by more than widths and threshold."""
        kept = (self.keep_tokens, self.keep_heads, self.keep_values)
        return kept != ((1.0, 1.0), (1.0, 1.0), 1.0) or self.rules != PAPER or bool(self.evict)

    @property
    def bits_name(self) -> str:
        """"8", "6+4", "8 bit, V 4" or "float"."""
        if self.bits is None:
            return "float"
        k, v = (f"{msb}+{lsb}" if lsb else str(msb) for msb, lsb in (self.bits, self.v_bits or self.bits))
        return k if v == k else f"{k} bit, V {v}"

    @property
    def label(self) -> str:
        """What distinguishes it, in a few words."""
        words = [self.bits_name if self.bits is None else f"{self.bits_name} bit"]
        if self.bits is not None and self.q_bits and self.model != "smollm2":
            words.append(f"Q {self.q_bits} bit")
        if self.bits is not None and self.bits[1]:
            words.append(f"threshold {self.threshold:g}")
        for name in ("tokens", "heads"):
            first, last = getattr(self, f"keep_{name}")
            if (first, last) != (1.0, 1.0):
                words.append(f"{name} {last:g}" if first == last else f"{name} {first:g}…{last:g}")
        if self.keep_values != 1.0:
            words.append(f"values {self.keep_values:g}")
        if self.lsb_margin is not None:
            words.append(f"by key {self.lsb_margin:g} nats")
        if self.keep_mass is not None:
            words.append(f"mass {self.keep_mass:g}")
        words += [text for text, on in (("given back", self.give_back),
                                        ("K held in 12 bit", self.k_scale == UNROTATED)) if on]
        scales = [f"{name} by {scale}" for name, scale in (("K", self.k_scale), ("V", self.v_scale)) if scale != "head"]
        if self.bits is not None and scales:
            words.append(", ".join(scales) if self.k_scale != self.v_scale else f"by {self.k_scale}")
        if self.evict:
            words.append(f"{self.evict} {self.cache}")
        if self.prompt_here:
            words.append("the prompt too")
        if self.keep_tokens != (1.0, 1.0) and self.model not in WHOLE_TEXT:
            words.append(f"newest {self.protect_last}")
        if self.pool_dropped:
            words.append("dropped tokens pooled")
        return ", ".join(words)

    @property
    def fields(self) -> dict[str, object]:
        return dataclasses.asdict(self)

    def check(self, config: SpAttenConfig) -> None:
        """Refuses a point that cannot be run on `config`."""
        if self.model not in MODELS:
            raise PointError(f"model = {self.model!r}: use {', '.join(MODELS[:-1])} or {MODELS[-1]}")
        self._check_language(config)
        for name, pair in (("keep_tokens", self.keep_tokens), ("keep_heads", self.keep_heads)):
            if not 0 < pair[1] <= pair[0] <= 1:
                raise PointError(f"{name} = {list(pair)}: must be above 0, at most 1, and not rise")
        if not 0 < self.keep_values <= 1:
            raise PointError(f"keep_values = {self.keep_values}: must be above 0 and at most 1")
        if not 0 <= self.threshold <= 1:
            raise PointError(f"threshold = {self.threshold}: must be 0 … 1")
        if self.protect_last < 1:
            raise PointError(f"protect_last = {self.protect_last}: must be at least 1, the newest token")
        for name, wrong, remedy in self.rules.broken(0 if self.bits is None else self.bits[1]):
            raise PointError(f"{name} {wrong}; {remedy}")
        if self.lsb_margin is not None and self.model in WHOLE_TEXT:
            raise PointError(f"lsb_margin is given, but the {self.model} has no steps of generation; leave it out")
        _ = self.schedule
        if self.bits is None:
            if self.prunes and self.model in WHOLE_TEXT:
                raise PointError(f"bits = \"float\": the {self.model} prunes in integers alone; give bits = 12")
            return
        if self.bits[0] not in PLANE_WIDTHS or self.bits[1] not in (0, LSB_WIDTH):
            raise PointError(f"bits = {list(self.bits)}: use one of {PLANE_WIDTHS}, alone or with {LSB_WIDTH} LSBs")
        if self.precision.q_bits not in PLANE_WIDTHS:
            raise PointError(f"q_bits = {self.q_bits}: use one of {PLANE_WIDTHS}")
        if self.precision.widest > config.operand_bits:
            raise PointError(f"bits = {list(self.bits)}: '{config.name}' has operand_bits = {config.operand_bits}; "
                             "use fewer bits or another build")

    def _check_language(self, config: SpAttenConfig) -> None:
        """Refuses what only the language model has where it is not, and what does not exist."""
        mine = {"v_bits": None, "k_scale": "head", "v_scale": "head", "evict": "", "cache": 0, "prompt_here": False}
        for name, default in mine.items():
            if self.model != "smollm2" and getattr(self, name) != default:
                raise PointError(f"{name} is given, but the {self.model} does not have it; leave it out")
        for name, allowed in (("k_scale", (*SCALES, UNROTATED)), ("v_scale", SCALES[:2])):
            if getattr(self, name) not in allowed:
                raise PointError(f"{name} = {getattr(self, name)!r}: use one of {', '.join(allowed)}")
        if self.v_bits is not None and (self.v_bits[0] not in PLANE_WIDTHS or self.v_bits[1] not in (0, LSB_WIDTH)):
            raise PointError(f"v_bits = {list(self.v_bits)}: use one of {PLANE_WIDTHS}, alone or with {LSB_WIDTH} LSBs")
        if self.k_scale == UNROTATED and (self.bits is None or self.bits[1] or self.lsb_margin is not None):
            raise PointError(f"k_scale = '{UNROTATED}' is for static widths of K; leave LSBs and lsb_margin out")
        if self.model == "smollm2" and self.keep_heads != (1.0, 1.0):
            raise PointError("keep_heads is given, but the language model's values are divided by scales of their own, "
                             "so that its heads cannot be compared; leave it out")
        if not self.evict:
            if self.cache:
                raise PointError(f"cache = {self.cache}, but evict is missing; it needs one of {', '.join(EVICTIONS)}")
            return
        if self.evict not in EVICTIONS:
            raise PointError(f"evict = {self.evict!r}: use one of {', '.join(EVICTIONS)}")
        if self.keep_tokens != (1.0, 1.0):
            raise PointError("evict drops tokens for good; leave keep_tokens out")
        try:
            EVICTIONS[self.evict].check(self.evict, self.cache)
        except UserError as error:
            raise PointError(str(error)) from None
