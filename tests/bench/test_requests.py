"""Request files: what is read, what is skipped, and one line for everything that is wrong."""

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.bench.requests import COLUMNS, RequestFile, Shape
from tests.integration.builds import LEAST, QUAD, WIDE

from .files import COMMENT, ROW, SMALL_FILE, SMALL_FLAT, STATIC, row, text


def read(tmp_path, content, config=QUAD, limit=None):
    path = tmp_path / "w.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return RequestFile.read(path, config, limit)


def test_what_is_read(tmp_path):
    file = read(tmp_path, SMALL_FILE)
    assert file.name == "w" and [r.line for r in file.requests] == list(range(2, 10))
    assert [r.flat for r in file.requests] == SMALL_FLAT
    assert file.requests[0].shape == Shape(16, 60, 60, 12, 12, (6, 4), (6, 4), 205)
    assert file.requests[6].shape == Shape(8, 33, 9, 9, 12, (12, 0), (12, 0), 0)
    assert file.q_asked == 16, "cut to 12 bits; said so in the report"


def test_widths_follow_the_build(tmp_path):
    file = read(tmp_path, text(row(), row(embedding_length_D=8, **STATIC)), WIDE)
    assert [r.shape.q_bits for r in file.requests] == [16, 16]
    assert file.requests[1].shape.k_bits == (16, 0)


def test_limit_comments_and_forms(tmp_path):
    comments = ["# made by hand" + "," * (len(ROW) - 1), "", COMMENT, "just words"]
    content = "\ufeff" + text(comments[0], row(), comments[1], row(), comments[2], row(), comments[3])
    assert len(read(tmp_path, content).requests) == 3
    assert len(read(tmp_path, content.replace("\n", "\r\n"), limit=2).requests) == 2
    # A limit ends the reading: what is wrong further down is not seen.
    assert len(read(tmp_path, text(row(), row(key_fetch_num=-3)), limit=1).requests) == 1


BAD = [
    ({"key_fetch_num": -3}, "key_fetch_num"), ({"key_fetch_num": 0}, "key_fetch_num"),
    ({"key_fetch_num": 61}, "sentence_length_L"), ({"value_fetch_num": 61}, "value_fetch_num"),
    ({"value_fetch_num": -1}, "value_fetch_num"), ({"sentence_length_L": 65, "key_fetch_num": 5}, "max_tokens"),
    ({"sentence_length_L": "many"}, "sentence_length_L"), ({"sentence_length_L": 10.5}, "whole"),
    ({"sentence_length_L": "nan"}, "sentence_length_L"), ({"sentence_length_L": "1e300"}, "sentence_length_L"),
    ({"embedding_length_D": 12}, "embedding_length_D"), ({"embedding_length_D": 64}, "embedding_length_D"),
    ({"quant_key_bit": 5}, "quant_key_bit"), ({"quant_key_bit": 10}, "operand_bits"),
    ({"quant_value_bit": -2}, "quant_value_bit"), ({"quant_query_bit": 3}, "quant_query_bit"),
    ({"auto_requant_incre": 3}, "auto_requant_incre"), ({"auto_requant_thres": 1.5}, "auto_requant_thres"),
    ({"auto_requant_thres": -0.1}, "auto_requant_thres"), ({"if_requant": "maybe"}, "if_requant"),
    ({**STATIC, "if_requant": "True"}, "if_requant"), ({"iteration_id": "first"}, "iteration_id"),
    ({"head_id": -1}, "head_id"), ({"layer_id": ""}, "layer_id"),
]


@pytest.mark.parametrize(("changes", "word"), BAD)
def test_a_bad_row_is_one_line(changes, word, tmp_path):
    with pytest.raises(UserError) as e:
        read(tmp_path, text(row(), row(**changes)))
    message = str(e.value)
    assert message.count("\n") == 0 and "w.csv, line 3: " in message and word in message and "; " in message


@pytest.mark.parametrize("missing", COLUMNS)
def test_missing_columns(missing, tmp_path):
    with pytest.raises(UserError, match=f"w.csv: has no column {missing};"):
        read(tmp_path, text(row()).replace(missing, "something"))


@pytest.mark.parametrize(("content", "word"), [
    ("", "has no column"), ("hello\n", "has no column"), (b"\xff\xfe\x00binary\x80", "not a CSV"),
    (text(), "no requests"), (text(COMMENT), "no requests"), (text(row() + ",1"), "fields"),
    (text("0,0,1"), "fields"), (text('"0,0'), "not a CSV"), (b"PK\x03\x04\x00\x00", "has no column"),
])
def test_bad_files(content, word, tmp_path):
    with pytest.raises(UserError, match=r"w\.csv") as e:
        read(tmp_path, content)
    assert word in str(e.value) and "\n" not in str(e.value)


def test_absent_files_and_folders(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(UserError, match="cannot be read"):
            RequestFile.read(path, QUAD)


def test_a_build_too_narrow_says_so(tmp_path):
    with pytest.raises(UserError, match=r"6 \+ 4 bits are more than operand_bits = 8 of 'least'"):
        read(tmp_path, text(row(embedding_length_D=8)), LEAST)
