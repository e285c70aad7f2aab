"""The session that the arguments of `spatten-hw chat` ask for: policies, with or without eviction."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatten_hw.errors import UserError

if TYPE_CHECKING:
    from spatten_hw.config import SpAttenConfig
    from spatten_hw.sim.models.decoder.session import Session
    from spatten_hw.sim.models.llama.model import Llama


def check_eviction(args: argparse.Namespace) -> None:
    """Refuses a policy of eviction that does not exist, or that cannot be with the other policy."""
    from spatten_hw.sim.models.decoder.policies import POLICIES
    from spatten_hw.sim.models.eviction.policy import EVICTIONS

    if args.evict is None:
        if args.cache is not None:
            raise UserError("--cache is given, but no --evict; leave it out or name a policy of eviction")
        return
    if args.evict not in EVICTIONS:
        raise UserError(f"--evict {args.evict}: there is no such policy; there are {', '.join(EVICTIONS)}")
    if args.cache is None:
        raise UserError(f"--evict {args.evict}: needs --cache N, the tokens that each K/V head keeps")
    if POLICIES[args.policy].prunes_tokens:
        raise UserError(f"--evict {args.evict}: --policy {args.policy} drops tokens by a rule of its own; use another")
    EVICTIONS[args.evict].check(args.evict, args.cache)


@dataclass
class Held:
    """A conversation whose KV cache stays: its session, and the tokens of the last answer that are not in it yet."""

    session: Session
    pending: tuple[int, ...] = ()


def session_of(model: Llama, args: argparse.Namespace, config: SpAttenConfig, engine: Any) -> Session:
    """The session that the arguments ask for; `engine` None: in float."""
    from spatten_hw.sim.models.decoder.attention import FloatAttention, integer_attention
    from spatten_hw.sim.models.decoder.policies import POLICIES
    from spatten_hw.sim.models.decoder.session import Session
    from spatten_hw.sim.models.eviction.policy import EVICTIONS
    from spatten_hw.sim.models.eviction.session import EvictingSession

    attention = FloatAttention() if engine is None else integer_attention(engine)
    settings = POLICIES[args.policy].settings
    if args.evict is None:
        return Session(model, config, settings, attention)
    return EvictingSession(model, config, settings, attention, EVICTIONS[args.evict], args.cache, args.tokens)
