"""The host's end of the link against a board that keeps to the protocol: every fault one clear line, no hang."""

import json
import random
import sys

import numpy as np
import pytest

from spatten_hw.cli import main
from spatten_hw.errors import UserError
from spatten_hw.host.device import DeviceError
from spatten_hw.host.link.protocol import (
    MAX_PAYLOAD,
    PROTOCOL_VERSION,
    DamagedFrame,
    Op,
    Response,
    decode_response,
    encode,
    encode_response,
    unframe,
)
from spatten_hw.host.link.serial_transport import SerialTransport
from spatten_hw.presets import SMALL
from tests.boards.fake_board import FakeBoard
from tests.host.malformed import good, save


def transport(board: FakeBoard, **options) -> SerialTransport:
    return SerialTransport.open(board.port, SMALL, timeout=options.pop("timeout", 0.1), **options)


def test_frames_survive_the_line_and_damage_is_seen():
    rng = random.Random(7)
    for _ in range(200):
        payload = bytes(rng.choice((0x7E, 0x7D, 0x5E, 0x5D, rng.randrange(256))) for _ in range(rng.randrange(40)))
        raw = encode_response(Response(Op.STATUS, rng.randrange(256), 0, 1, 5, payload))
        assert decode_response(raw[1:-1]).payload == payload and 0x7E not in raw[1:-1]
        at = rng.randrange(1, len(raw) - 1)
        damaged = bytearray(raw)
        damaged[at] ^= 1 << rng.randrange(8)
        with pytest.raises(DamagedFrame):
            decode_response(bytes(damaged[1:-1]))
        with pytest.raises(DamagedFrame):
            unframe(raw[1:-1][:at - 1])
    with pytest.raises(DamagedFrame, match="no response"):
        decode_response(encode(Op.STATUS, 1)[1:-1])


def test_registers_memory_and_time():
    with FakeBoard(SMALL) as board, transport(board) as t:
        assert (t.identity.config_hash, t.memory_bytes) == (SMALL.hash, 1 << 20)
        data = np.random.default_rng(1).bytes(3 * MAX_PAYLOAD + 5)
        t.mem_write(0, 4099, data)
        assert t.mem_read(0, 4099, len(data)) == data
        # After this no question of an earlier run is answered.
        assert board.requests[Op.RESET] == 1
        before = t.cycles
        assert not t.wait_irq(3) and t.cycles > before
        with pytest.raises(UserError, match="the board has 1048576"):
            t.mem_write(0, (1 << 20) - 4, bytes(8))
        with pytest.raises(DeviceError, match="BUS_ERROR"):
            t.read32(0xFFC)


def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice():
    with FakeBoard(SMALL, lose=frozenset({4, 6, 7})) as board, transport(board) as t:
        offset = next(o for o, n in board.device.by_offset.items() if n == "JOB_ADDR_LO")
        for value in (5, 6, 7):
            t.write32(offset, value)
        assert board.requests[Op.WRITE_REGISTER] == 3 and t.line.repeated == 3


FAULTS = {
    "nothing there": ({"silent": True}, "no answer: is it the right port"),
    "other bitstream": ({"config_hash": 0x1234}, "built from configuration 00001234, not from"),
    "other protocol": ({"protocol": PROTOCOL_VERSION + 0x10000}, "speaks version 2.0"),
    "stops answering": ({"mute_after": 20}, "has stopped answering"),
    "unplugged": ({"die_after": 20}, "was the board unplugged"),
    "too little memory": ({"memory_bytes": 4096}, "bytes of memory, the board has 4096"),
    "no clock": ({"frozen": True}, None),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("spatten_hw.host.link.serial_transport.TIMEOUT", 0.1)
    options, words = FAULTS[name]
    save("w.npz", good())
    with FakeBoard(SMALL, **options) as board:
        if name == "no clock":
            with transport(board) as t, pytest.raises(DeviceError, match="clock does not advance"):
                t.wait_irq(100)
            return
        code = main(["run", "w.npz", "--port", board.port, "--out", "o.npz"])
    captured = capsys.readouterr()
    assert code == 2 and captured.out == "" and not (tmp_path / "o.npz").exists()
    assert words in captured.err and captured.err.count("\n") == 1, captured.err


def test_run_reports_the_board(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save("w.npz", good())
    with FakeBoard(SMALL) as board:
        assert main(["run", "w.npz", "--port", board.port, "--json", "o.json", "--html", "o.html"]) == 0
    report = json.loads((tmp_path / "o.json").read_text())
    assert report["engine"] == "board" and report["bit_exact"] is True
    assert "the board ran beside it" in (tmp_path / "o.html").read_text()
    assert "engine board" in capsys.readouterr().out


def test_arguments_that_do_not_go_together(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save("w.npz", good())
    for extra, words in ((["--baud", "9600"], "no --port"), (["--port", "/dev/null", "--engine", "golden"], "golden"),
                         (["--port", "/dev/null", "--timeline", "t.json"], "--timeline"),
                         (["--port", "absent"], "absent: cannot be opened (No such file or directory)"),
                         (["--port", "/dev/null"], "/dev/null: cannot be opened"),
                         (["--port", "x", "--baud", "0"], "at least 1")):
        assert main(["run", "w.npz", *extra]) == 2
        text = capsys.readouterr().err
        assert words in text and text.count("\n") == 1, text


def test_a_port_in_use_and_missing_pyserial(monkeypatch):
    with FakeBoard(SMALL) as board, transport(board), pytest.raises(UserError, match="close the other program"):
        transport(board)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(UserError, match=r"spatten-hw\[boards\]"):
        SerialTransport.open("x", SMALL)


def test_garbage_is_told_from_silence():
    class Babble:
        name = "babble"

        def write(self, data):
            pass

        def read(self, timeout):
            return b"login: ~"

        def close(self):
            pass

    with pytest.raises(DeviceError, match="wrong --baud"):
        SerialTransport(Babble(), SMALL, timeout=0.1)

