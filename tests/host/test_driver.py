"""The driver against a device made of registers, memory and the golden model."""

import dataclasses

import numpy as np
import pytest

from spatten_hw import PRESETS
from spatten_hw.config import SpAttenConfig
from spatten_hw.host.device import DeviceError
from spatten_hw.host.driver import Driver, JobError, JobTimeout
from spatten_hw.host.job import HeadScale, JobRefused, LayerJob, decode, encode
from spatten_hw.host.plan import Plan
from spatten_hw.host.workload import make_workload
from spatten_hw.interface.descriptor import FIELDS, HEADER_WORDS
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.sim.engine import run_workload

from .fake_device import FakeDevice

TINY = SpAttenConfig(multipliers=16, chunk=4, max_dim=16, operand_bits=16, max_tokens=32, sram_tokens=32,
                     max_heads=8, max_group=4, slots=4, topk_lanes=4, channels=4, axi_data_bits=64,
                     axi_addr_bits=20, reads=4, pool_beats=16, job_queue=2)


def arrays(seed, layers=3, heads=4, kv=2, queries=10, tokens=10, dim=8):
    rng = np.random.default_rng(seed)
    return {"q": rng.standard_normal((layers, heads, queries, dim)),
            "k": rng.standard_normal((layers, kv, tokens, dim)),
            "v": rng.standard_normal((layers, kv, tokens, dim))}


CASES = {
    "dense": ({}, {}),
    "progressive": ({}, {"k_bits": [12, 4], "v_bits": [8, 4], "threshold": 0.3, "keep_tokens": [None, 7, 4],
                         "keep_heads": [None, None, 1], "keep_values": [4, 4, 4], "mask": "causal"}),
    "padded": ({}, {"mask": 6, "keep_tokens": [5, 4, 3], "protect_first": 1}),
    "generation": ({"queries": 3}, {"stage": "generate", "keep_tokens": [[7, 5, 3]] * 3, "k_bits": [4, 4],
                                    "v_bits": [6, 4], "threshold": 0.3, "keep_values": [3, 3, 3]}),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("prompt", [False, True])
def test_hardware_equals_golden(name, prompt):
    shape, job = CASES[name]
    a = arrays(len(name), **shape)
    if prompt:
        a |= {"token_scores": np.linspace(0, 3, 10), "head_scores": np.array([1.0, 20.0])}
    w = make_workload(a, job)
    devices = []
    result = run_workload(w, TINY, "rtl", lambda c: devices.append(FakeDevice(c)) or devices[0])
    assert result.mismatches == [] and result.bit_exact is True
    assert devices[0].closed and devices[0].deepest > 1
    golden = run_workload(w, TINY, "golden")
    for key, value in golden.outputs.arrays.items():
        assert np.array_equal(value, result.outputs.arrays[key]), key
    assert result.bytes == golden.bytes and golden.bit_exact is None
    assert result.cycles == 1000 * len(result.outputs.layers) == sum(s.cycles for s in result.outputs.layers)


def test_a_wrong_bit_is_found():
    w = make_workload(arrays(1), {})
    result = run_workload(w, TINY, "rtl", lambda c: FakeDevice(c, break_output=True))
    assert result.bit_exact is False
    assert "layer 0: 8 outputs differ, first at head 0, query 0, element 0" in result.mismatches[0]


@pytest.mark.parametrize("register,value,words", [
    ("ID", 0, "no SpAtten"), ("VERSION", 0x10001, "1.1"), ("CONFIG_HASH", 1, "00000001")])
def test_wrong_device(register, value, words):
    with pytest.raises(DeviceError, match=words):
        Driver(TINY, FakeDevice(TINY, overrides={register: value}))


def test_minor_versions_may_differ():
    Driver(TINY, FakeDevice(TINY, overrides={"VERSION": 0x20007}))


def test_a_limit_of_cycles_per_job():
    device = FakeDevice(TINY, overrides={"JOB_LIMIT": 9})
    Driver(TINY, device)
    assert device.values["JOB_LIMIT"] == 9, "not asked for, not touched"
    for cycles in (0, 1234, (1 << 32) - 1):
        Driver(TINY, device, job_limit=cycles)
        assert device.values["JOB_LIMIT"] == cycles
    for cycles in (-1, 1 << 32):
        with pytest.raises(DeviceError, match=r"job_limit is .*4294967295"):
            Driver(TINY, device, job_limit=cycles)
    device = FakeDevice(TINY, error=ErrorCode.TIMEOUT, overrides={
        "ACTIVITY": 1 << 1 | 1 << 9 | 1 << 13 | 4 << 16 | 1 << 20, "JOB_TAGS": 3 | 2 << 16})
    with pytest.raises(JobError) as caught:
        list(Driver(TINY, device, job_limit=100).run_layers(Plan(make_workload(arrays(2), {}), TINY)))
    assert str(caught.value) == (
        "layer 0: the accelerator reports: the job took more cycles than JOB_LIMIT; the accelerator must be reset "
        "(error 96); front stage: scores (job 3); back stage: makes outputs (job 2); busy: score; unanswered: reads of "
        "K, writes of outputs")


def test_errors_of_jobs_name_layer_and_reason():
    plan = Plan(make_workload(arrays(2), {}), TINY)
    driver = Driver(TINY, FakeDevice(TINY, error=ErrorCode.READ_K))
    with pytest.raises(JobError, match=r"layer 0: .*read of K.*error 67"):
        list(driver.run_layers(plan))
    driver = Driver(TINY, FakeDevice(TINY, error=200))
    with pytest.raises(JobError, match="unknown error"):
        list(driver.run_layers(plan))


def test_a_hang_ends_with_the_limit():
    device = FakeDevice(TINY, hang=True)
    words = (r"5000 cycles \(front stage: idle; back stage: idle; busy: no unit; unanswered: no access to memory\): "
             "raise the cycle limit, or reset")
    with pytest.raises(JobTimeout, match=words) as caught:
        list(Driver(TINY, device).run_layers(Plan(make_workload(arrays(3), {}), TINY), cycle_limit=5000))
    assert device.cycles < 6000
    assert caught.value.__notes__ == ["it was layer 0"]


def test_illegal_jobs_write_nothing():
    device = FakeDevice(TINY)
    driver = Driver(TINY, device)
    good = Plan(make_workload(arrays(4), {}), TINY).passes[0].job
    for change, words in (({"dim": 32}, "dim"), ({"tokens": 0}, "tokens is 0"), ({"k_msb": 5}, "k_msb"),
                          ({"threshold": 5000}, "threshold"), ({"out_base": 4}, "out_base"),
                          ({"q_base": (1 << 20) - 8}, "Q plane"), ({"heads": 9}, "scales has"),
                          ({"keep_tokens": 0}, "keep_tokens"), ({"causal": 1, "generate": 1}, "causal")):
        with pytest.raises(JobRefused, match=words):
            driver.submit(good.replace(**change), 1, 4096)
    with pytest.raises(JobRefused, match="descriptor"):
        driver.submit(good, 1, 4097)
    assert device.writes == 0 and not device.queue


def test_every_broken_rule_is_named_at_once():
    good = Plan(make_workload(arrays(4), {}), TINY).passes[0].job
    with pytest.raises(JobRefused) as e:
        Driver(TINY, FakeDevice(TINY)).submit(good.replace(dim=5, threshold=9999, keep_values=0), 1, 0)
    assert len(e.value.violations) >= 3


def test_nothing_to_wait_for():
    with pytest.raises(DeviceError, match="no job"):
        Driver(TINY, FakeDevice(TINY)).wait(10)


def test_memory_of_channels_and_words():
    driver = Driver(TINY, FakeDevice(TINY))
    data = np.random.default_rng(5).integers(0, 256, 1000).astype(np.uint8)
    driver.write([(1, 4999, data), (2, 5000, data[:10])])
    assert np.array_equal(driver.fetch(1, 4999, 1000), data) and np.array_equal(driver.fetch(2, 5000, 10), data[:10])
    assert driver.fetch(1, 4998, 1)[0] == 0xEE == driver.fetch(1, 5999, 1)[0] == driver.fetch(0, 5000, 1)[0]
    words = np.arange(5, dtype=np.uint64)
    driver.write_words((3 << 20) + 8, words)
    assert np.array_equal(driver.read_words((3 << 20) + 8, 5), words)
    assert driver.fetch(3, 16, 1)[0] == 1 and driver.fetch(0, 16, 1)[0] == 0xEE


def test_descriptor_round_trip():
    rng = np.random.default_rng(6)
    for _ in range(20):
        values = {f.name: int.from_bytes(rng.bytes(8), "little") >> (64 - f.width) for f in FIELDS}
        values |= {"heads": int(rng.integers(1, 5)), "group": int(rng.integers(1, 4))}
        scales = tuple(HeadScale(*(int(rng.integers(0, 1 << n)) for n in (17, 5, 6, 17, 6)))
                       for _ in range(values["heads"] * values["group"]))
        job = LayerJob(scales=scales, **values)
        data = encode(job)
        assert len(data) == 8 * (HEADER_WORDS + 2 * len(scales)) and decode(data) == job


def test_job_has_exactly_the_fields_of_the_descriptor():
    assert {f.name for f in dataclasses.fields(LayerJob)} == {f.name for f in FIELDS} | {"scales"}


def test_values_that_do_not_fit_are_refused():
    job = LayerJob(dim=8, tokens=4, scales=(HeadScale(),), threshold=1 << 16)
    with pytest.raises(JobRefused, match="threshold = 65536"):
        encode(job)
    with pytest.raises(JobRefused, match=r"scales\[0\]\.score_pre"):
        encode(job.replace(threshold=0, scales=(HeadScale(score_pre=32),)))


def test_too_much_for_the_address_space():
    small = PRESETS["small"].replace(axi_addr_bits=16)
    w = make_workload({n: np.ones((8, 8, 64, 32)) for n in "qkv"}, {})
    with pytest.raises(Exception, match="axi_addr_bits"):
        Plan(w, small)


def test_some_counters_alone_are_read():
    """Two registers each, and the values of those that are read are those of all."""
    device = FakeDevice(TINY)
    driver = Driver(TINY, device)
    list(driver.run_layers(Plan(make_workload(arrays(3), {}), TINY)))
    every, reads = driver.counters().values, []
    read = device.read32
    device.read32 = lambda address: reads.append(address) or read(address)
    some = driver.counters(("cycles", "queries")).values
    assert some == {name: every[name] for name in ("cycles", "queries")} and every["cycles"] > 0
    assert len(reads) == 4
