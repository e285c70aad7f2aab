"""Corpus and alphabet: fixed, apart, and clear about what they do not take."""

import sys

import pytest

from spatten_hw.errors import UserError
from spatten_hw.sim.models.gpt import corpus, vocabulary


def test_held_out_text_is_never_trained_on():
    held, (reference, docstrings) = corpus.held_out_text(), corpus.training_texts()
    assert len(held) >= corpus.HELD_OUT and len(reference) > 200_000 and len(docstrings) > 500_000
    trained = {p for text in (reference, docstrings) for p in text.split("\n\n")}
    assert not trained & set(corpus._paragraphs(held))
    # The topic "compound" has the parts of its own as topics too, some of them held out.
    assert any(p in corpus._topics()["compound"] for p in corpus._paragraphs(held))


def test_paragraphs_come_once():
    reference, docstrings = corpus.training_texts()
    paragraphs = corpus._paragraphs(reference) + corpus._paragraphs(docstrings)
    assert len(paragraphs) == len(set(paragraphs))


def test_the_split_does_not_change():
    held, trained = corpus.split_documents()
    corpus.split_documents.cache_clear()
    assert (held, trained) == corpus.split_documents()
    assert not set(held) & set(trained) and len(held) >= 5


def test_all_is_in_the_alphabet():
    for text in (corpus.held_out_text(), *corpus.training_texts()):
        assert vocabulary.decode(vocabulary.encode(text)) == text


def test_without_the_language_reference(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    corpus._topics.cache_clear()
    with pytest.raises(UserError, match=r"pydoc_data\.topics, is missing"):
        corpus._topics()


def test_alphabet():
    assert vocabulary.SIZE == 96 and len(set(vocabulary.CHARACTERS)) == 96
    assert vocabulary.encode("\n ~") == (0, 1, 95)
    assert vocabulary.normalise("“Café” – 3 ≤ 4\t…\x07日") == '"Cafe" - 3 <= 4    ...'


@pytest.mark.parametrize("text,said", [("abcé", "'é' (LATIN SMALL LETTER E WITH ACUTE) at place 4"),
                                       ("\t", "(code 9) at place 1"), ("日", "at place 1")])
def test_unknown_characters_are_named(text, said):
    with pytest.raises(UserError) as error:
        vocabulary.encode(text)
    assert said in str(error.value) and "\n" not in str(error.value)
