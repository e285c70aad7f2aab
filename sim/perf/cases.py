"""The layers that the tables show, and how one is run."""

from __future__ import annotations

from dataclasses import dataclass

from .generation import Generation
from .layer import Layer
from .machine import Machine
from .prompt import Prompt
from .run import Run, mean

#: Tokens of which pruned layers' survivors are drawn.
CONTEXT = 1000


@dataclass(frozen=True)
class Case:
    """A layer; `before`: heads of a shorter run that is taken off, which leaves the steady state."""

    name: str
    layer: Layer
    before: int = 0
    prompt: bool = False

    def fits(self, machine: Machine) -> bool:
        return (self.layer.tokens <= machine.max_tokens and self.layer.dim <= machine.max_dim
                and self.layer.group <= machine.slots)

    def run(self, machine: Machine, seeds: int) -> Run:
        """The mean over draws of survivors and kept values."""
        if self.prompt:
            return Prompt(self.layer, machine).run()
        return mean(self.drawn(machine, seed) for seed in range(seeds))

    def drawn(self, machine: Machine, seed: int) -> Run:
        run = Generation(self.layer, machine, seed).run()
        if not self.before:
            return run
        return run - Generation(self.layer.replace(heads=self.before), machine, seed).run()


def generation(tokens: int, keep: int, heads: int, dim: int, group: int = 1) -> Layer:
    """Survivors by chance, unless all tokens are alive."""
    return Layer(tokens, keep, heads, dim, group=group, context=CONTEXT if tokens < CONTEXT // 2 else 0)


def layer_cases(machine: Machine, heads: tuple[int, ...] = (12, 48, 128)) -> list[Case]:
    """Layers of generation, whole (with their drain) and steady (48 heads without 24)."""
    dim, longest = min(64, machine.max_dim), min(1000, machine.max_tokens - 12)
    found = []
    for tokens, keep in ((longest, longest // 5), (204, 40), (102, 20)):
        name = f"n={tokens} k={keep}"
        # 128 heads of long vectors take long and are steady.
        found += [Case(f"{name}, {count} heads", generation(tokens, keep, count, dim)) for count in heads
                  if count < 100 or tokens < 300]
        found.append(Case(f"{name}, steady", generation(tokens, keep, 48, dim), before=24))
    return found


def standard_cases(machine: Machine) -> list[Case]:
    """All that fit the machine: generation, groups of queries, prompts."""
    dim, longest = min(64, machine.max_dim), min(1000, machine.max_tokens - 12)
    group = {"heads": 9, "dim": dim, "group": 3}
    cases = [
        *layer_cases(machine),
        Case(f"9 on 3 heads, n={longest}, all kept", generation(longest, 0, **group)),
        Case(f"9 on 3 heads, n={longest} k={longest // 5}", generation(longest, longest // 5, **group)),
        Case(f"9 on 3 heads, n={longest}, by key, by mass",
             Layer(longest, longest // 10, 9, dim, bits=4, lsb_bits=4, flat=1.0, near=0.08, static_values=True,
                   uneven=0.5, group=3)),
        Case(f"L=384 D={dim}", Layer(384, dim=dim, bits=12), prompt=True),
        Case(f"L=384 D={dim} k=192", Layer(384, 192, dim=dim, bits=12), prompt=True),
        Case(f"L=128 D={dim}", Layer(128, dim=dim, bits=12), prompt=True),
        Case("L=128 D=32", Layer(128, dim=32, bits=12), prompt=True),
        Case(f"L=512 D={dim} causal", Layer(512, dim=dim, bits=12, causal=True), prompt=True),
    ]
    return [case for i, case in enumerate(cases) if case.fits(machine) and case not in cases[:i]]
