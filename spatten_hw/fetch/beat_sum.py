"""Adds up what several ports did in one cycle, with a register after every few additions."""

from __future__ import annotations

from amaranth import Module, Mux, Signal, Value

#: Numbers added between two registers.
FAN_IN = 4


def registered_sum(m: Module, terms: list[Value], name: str) -> Value:
    """Sum of unsigned `terms`, through a register after every `FAN_IN`-input adder; at least one register."""
    level = 0
    while True:
        sums: list[Value] = []
        for k in range(0, len(terms), FAN_IN):
            total = sum(terms[k + 1:k + FAN_IN], start=terms[k])
            stage = Signal(len(Value.cast(total)), name=f"{name}_level{level}_{k // FAN_IN}")
            m.d.sync += stage.eq(total)
            sums.append(stage)
        if len(sums) == 1:
            return sums[0]
        terms, level = sums, level + 1


def plane_beats(m: Module, beats: list[Value], lsb: list[Value], name: str) -> tuple[Value, Value]:
    """Beats of the MSB and of the LSB plane over all ports, from each port's beats and its plane."""
    msb_terms = [Mux(is_lsb, 0, b) for b, is_lsb in zip(beats, lsb, strict=True)]
    lsb_terms = [Mux(is_lsb, b, 0) for b, is_lsb in zip(beats, lsb, strict=True)]
    return registered_sum(m, msb_terms, f"{name}_msb"), registered_sum(m, lsb_terms, f"{name}_lsb")
