"""The file of results: whole lines of ours, or refused; half a line of a killed run is cut off."""

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.sweep.results import Results, alone


def entry(status="ok"):
    return {"status": status, "reason": "", "metrics": {}, "seconds": 0}


def test_what_failed_is_tried_again(tmp_path):
    results = Results(tmp_path / "p.jsonl")
    for status in ("ok", "refused", "failed"):
        results.put(status, entry(status))
    again = Results(tmp_path / "p.jsonl")
    assert [again.settled(key) for key in ("ok", "refused", "failed", "none")] == [True, True, False, False]
    again.put("failed", entry())
    assert Results(tmp_path / "p.jsonl").settled("failed")


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_half_a_line_is_cut_off(cut, tmp_path):
    path = tmp_path / "p.jsonl"
    results = Results(path)
    results.put("one", entry())
    results.put("two", entry())
    path.write_bytes(path.read_bytes()[:-cut])
    again = Results(path)
    assert set(again.results) == {"one"}
    again.put("three", entry())
    assert set(Results(path).results) == {"one", "three"}


@pytest.mark.parametrize("data", [b"\xff\x00\n", b"{}\n", b'{"key": 1, "result": {}}\n', b"[1]\n", b"PK\x03\x04 no end",
                                  b'{"key": "a", "result": {"loss": 1}}\n'])
def test_another_file_is_refused_and_stays_as_it_is(data, tmp_path):
    path = tmp_path / "p.jsonl"
    good = b'{"key": "a", "result": {"status": "ok", "reason": "", "metrics": {}, "seconds": 0}}\n'
    for before in (b"", good):
        path.write_bytes(before + data)
        with pytest.raises(UserError, match=rf"p\.jsonl, line {1 + bool(before)}: is no result of a sweep"):
            Results(path)
        assert path.read_bytes() == before + data


def test_two_sweeps_do_not_share_a_folder(tmp_path):
    with alone(tmp_path), pytest.raises(UserError, match="another sweep is writing here"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass
