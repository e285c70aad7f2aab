"""Jobs noted for coverage are those in the simulated memory when they are pushed."""

import json

import numpy as np

from spatten_hw.host.job import HeadScale, LayerJob, encode
from spatten_hw.host.words import place_of_words
from spatten_hw.interface.registers import register_map
from spatten_hw.sim.harness.job_log import job_log
from spatten_hw.sim.harness.variant import COVERAGE
from tests.integration.builds import QUAD


def test_a_pushed_job_is_read_from_its_channel(tmp_path, monkeypatch):
    memory = np.zeros((QUAD.channels, 1 << 16), dtype=np.uint8)
    job = LayerJob(dim=16, tokens=9, scales=(HeadScale(),) * 4, heads=2, group=2, keep_tokens=5, generate=1)
    at = (1 << QUAD.axi_addr_bits) + 0x1238
    image = np.frombuffer(encode(job), dtype=np.uint8)
    channel, local = place_of_words(at, QUAD)
    assert (channel, local) == (1, 0x1238)
    memory[channel, local:local + len(image)] = image
    monkeypatch.setenv(COVERAGE, str(tmp_path))
    log = job_log(QUAD, lambda channel, local, n: memory[channel, local:local + n].tobytes())
    offsets = {name: r.offset for name, r in register_map(QUAD).items()}
    for name, value in (("IRQ_ENABLE", 1), ("JOB_ADDR_LO", at), ("JOB_ADDR_HI", 0), ("JOB_PUSH", 7)):
        log.wrote(offsets[name], value)
    log.wrote(offsets["JOB_ADDR_HI"], 1 << 20)  # outside of the address space: refused by the hardware
    log.wrote(offsets["JOB_PUSH"], 8)
    (line,) = next(tmp_path.glob("jobs-*.jsonl")).read_text().splitlines()
    entry = json.loads(line)
    assert entry["build"] == "quad" and entry["job"] == job.fields


def test_nothing_is_noted_unless_asked(monkeypatch):
    monkeypatch.delenv(COVERAGE, raising=False)
    assert job_log(QUAD, lambda *_: b"") is None
