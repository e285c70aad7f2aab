"""Adds up what several ports did in one cycle."""

from __future__ import annotations

from amaranth import Module, Mux, Value

from ..primitives.adder_tree import adder_tree
from ..primitives.pipeline import delay


def plane_beats(m: Module, beats: list[Value], lsb: list[Value], name: str) -> tuple[Value, Value]:
    """Beats of the MSB and of the LSB plane over all ports, from each port's beats and its plane,
    max(1, `tree_stages`) cycles later."""
    msb_terms = [Mux(is_lsb, 0, b) for b, is_lsb in zip(beats, lsb, strict=True)]
    lsb_terms = [Mux(is_lsb, b, 0) for b, is_lsb in zip(beats, lsb, strict=True)]
    return _sum(m, msb_terms, f"{name}_msb"), _sum(m, lsb_terms, f"{name}_lsb")


def _sum(m: Module, terms: list[Value], name: str) -> Value:
    return adder_tree(m, terms, name, reset=True) if len(terms) > 1 else delay(m, terms[0], 1, name, reset=True)
