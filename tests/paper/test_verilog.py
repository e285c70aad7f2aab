"""A benchmark of the paper on the Verilog of `full`: as many bytes and about as many cycles as the page has it."""

import json

import numpy as np
import pytest

from spatten_hw.cli import main
from spatten_hw.sim.rivals.benchmarks import bert
from spatten_hw.sim.rivals.rival import FULL
from spatten_hw.sim.rivals.spatten import SpAtten


@pytest.mark.nightly
@pytest.mark.timeout(2400)
def test_bert_base_on_sts_b(tmp_path, monkeypatch):
    # The build that `run` and `bench` use: this is about cycles.
    monkeypatch.setenv("SPATTEN_CONTRACTS", "0")
    layers = bert("bert-base", "sts-b").layers
    job = {"stage": "summarise", "q_bits": 6, "k_bits": 6, "v_bits": 6,
           "keep_tokens": layers.tokens.astype(int).tolist(),
           "keep_heads": layers.heads.astype(int).tolist()}
    q, k, v = np.random.default_rng(1).normal(size=(3, 12, 12, int(layers.context[0]), 64))
    np.savez(tmp_path / "w.npz", q=q, k=k, v=v, job=json.dumps(job))
    assert main(["run", str(tmp_path / "w.npz"), "--preset", "full", "--engine", "rtl", "--json",
                 str(tmp_path / "w.json")]) == 0
    found, cost = json.loads((tmp_path / "w.json").read_text()), SpAtten().cost(layers, FULL)
    assert cost.cycles.sum() == pytest.approx(found["cycles"], rel=0.1)
    assert cost.bytes.sum() == pytest.approx(sum(found["bytes"].values()), rel=0.005)
