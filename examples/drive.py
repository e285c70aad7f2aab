"""The driver by hand: planes, a descriptor, a push, a completion. On a board, the transport is a serial line.

    python examples/drive.py                     # simulation
    python examples/drive.py /dev/ttyUSB0        # a board built with `spatten-hw build`, preset small
"""

import sys

import numpy as np

from spatten_hw import PRESETS
from spatten_hw.host.builder import JobBuilder
from spatten_hw.host.driver import Driver
from spatten_hw.host.layout import Arena
from spatten_hw.host.quantise import quantise
from spatten_hw.host.shape import LayerShape, Precision

TOKENS, HEADS, D = 12, 2, 32
config = PRESETS["small"]
builder = JobBuilder(config, LayerShape(D, HEADS), Precision(8, (8, 0), (8, 0)), Arena(config))

real = dict(zip("qkv", np.random.default_rng(1).normal(size=(3, HEADS, TOKENS, D)), strict=True))
codes, units = {}, {}
for name, x in real.items():
    codes[name], units[name] = quantise(x, 8)

planes = {"q": builder.query_plane(TOKENS), **builder.key_value_planes(TOKENS),
          "out": builder.out_plane(TOKENS)}
descriptor = builder.descriptor()
job = builder.job(planes, TOKENS, builder.scales(units, out_unit=2.0 ** -12), descriptor, keep_values=6, restart=1,
                  clear_scores=1)


def run(transport) -> None:
    """One job, as a host would do it."""
    driver = Driver(config, transport)
    driver.write(builder.images(planes, **codes))
    driver.submit(job, tag=1, at=descriptor)
    done = driver.wait(limit=1_000_000)                  # cycles
    counters = driver.counters()
    print(f"job {done.tag}: error {done.error}, {counters.cycles} cycles, {sum(counters.bytes.values())} bytes")


if len(sys.argv) > 1:
    from spatten_hw.host.link.serial_transport import SerialTransport
    with SerialTransport.open(sys.argv[1], config) as serial:
        run(serial)
else:
    from spatten_hw.sim.harness.transport import VerilatedTransport
    with VerilatedTransport(config) as simulation:
        run(simulation)
