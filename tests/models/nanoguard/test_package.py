"""NanoGuard's files: read without PyTorch and without running anything, and what is refused."""

from __future__ import annotations

import os
import pickle
import re
import zipfile

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.nanoguard import package
from spatten_hw.sim.models.nanoguard.model import bfloat16
from spatten_hw.sim.models.nanoguard.package import load

from .tiny import FLOAT32, MERGES, SPECIAL, tiny_model, write_checkpoint, write_files, write_tokenizer

pytest.importorskip("torch")
pytest.importorskip("tiktoken")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("nanoguard"), tiny_model())


def test_written_and_read(files):
    model, loaded = tiny_model(), load(files).model
    assert loaded.architecture == model.architecture and loaded.weights.keys() == model.weights.keys()
    for name, x in model.weights.items():
        assert loaded.weights[name].dtype == np.float32
        assert np.array_equal(loaded.weights[name], x if name in FLOAT32 else bfloat16(x)), name


def test_the_tokenizer(files):
    tokenizer = load(files).tokenizer
    tokens = tokenizer.tokenize("the ant <|reserved_1|>")
    assert tokens.ids[0] == SPECIAL["<|reserved_0|>"] and tokens.pieces[1:4] == ("the", " ", "an")
    assert tokens.ids[1] == 256 + MERGES.index(b"the")
    assert SPECIAL["<|reserved_1|>"] not in tokens.ids, "text that looks like a special token is text"
    assert len(tokens.first(3)) == 3 and tokens.first(3).pieces == tokens.pieces[:3]


class Evil:
    """A pickle that makes a folder when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def refused(files, message):
    with pytest.raises(UserError, match=message) as error:
        load(files)
    assert "\n" not in str(error.value)


def test_no_file_runs_code(files, tmp_path):
    made = tmp_path / "made"
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps(Evil(made)))
    refused((files[0], evil), r"evil.pkl: no readable model \(it names posix.mkdir")
    with zipfile.ZipFile(tmp_path / "evil.pt", "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(Evil(made)))
        archive.writestr("x/byteorder", b"little")
    refused((tmp_path / "evil.pt", files[1]), r"it names posix.mkdir")
    assert not made.exists()


def test_tensors_that_do_not_lie_row_by_row(files, tmp_path):
    import torch

    torch.save({"model_state_dict": {"x": torch.zeros(4, 3).T}, "config": {}}, tmp_path / "turned.pt")
    refused((tmp_path / "turned.pt", files[1]), r"strides \(1, 3\), which are not served")
    torch.save({"model_state_dict": {"x": torch.zeros(3, dtype=torch.float16)}, "config": {}}, tmp_path / "half.pt")
    refused((tmp_path / "half.pt", files[1]), r"it names torch.HalfStorage")


@pytest.mark.parametrize("how, message", [
    ({"leave_out": "transformer.h.1.mlp.c_fc.weight"}, "the weights transformer.h.1.mlp.c_fc.weight are missing"),
    ({"n_layer": 3}, r"have the shape \(2,\), not \(3,\)"),
    ({"n_kv_head": 1}, "grouped queries"), ({"num_classes": 3}, "other than two classes"),
    ({"vocab_size": 200}, r"shape \(302, 32\), not \(200, 32\)"),
])
def test_what_is_not_served(files, how, message, tmp_path):
    refused((write_checkpoint(tmp_path / "other.pt", tiny_model(), **how), files[1]), f"other.pt: .*{message}")


def test_more_tokens_than_embeddings(files, tmp_path):
    other = write_tokenizer(tmp_path / "other.pkl", SPECIAL | {"<|reserved_2|>": 302})
    refused((files[0], other), "other.pkl: has more tokens than model.pt")


def test_damaged_and_missing(files, tmp_path, monkeypatch):
    weights, tokenizer = files
    damaged = tmp_path / "damaged.pt"
    for data in (b"", b"no zip at all", weights.read_bytes()[:2000]):
        damaged.write_bytes(data)
        refused((damaged, tokenizer), "damaged.pt: no readable model")
    with zipfile.ZipFile(damaged, "w") as archive:
        archive.writestr("readme", "hello")
    refused((damaged, tokenizer), "no data.pkl")
    for data in (b"", b"hello", pickle.dumps([1, 2]), tokenizer.read_bytes()[:500]):
        (tmp_path / "damaged.pkl").write_bytes(data)
        refused((weights, tmp_path / "damaged.pkl"), "damaged.pkl: no readable model")
    refused((tmp_path / "none.pt", tokenizer), "none.pt: No such file")
    refused((tmp_path, tokenizer), "Is a directory")
    monkeypatch.setattr(package, "PACKAGE", "no-such-package")
    refused(None, re.escape("the classifier is not installed: pip install --no-deps metatronnanoguard==0.1.0"))
    monkeypatch.setattr(package, "PACKAGE", "numpy")
    refused(None, "the package numpy has no file nanoguard/assets/model.pt: install it again")
