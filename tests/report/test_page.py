"""The page without a browser: escaping, sizes, what is said to be left out, numbers."""

import html
import re
from html.parser import HTMLParser

import pytest

from spatten_hw.sim.report import text
from spatten_hw.sim.report.html import render
from spatten_hw.sim.report.limits import SEQUENCES, groups, spread

from .samples import NASTY, embedded, record, sequence

#: Elements that have no end tag.
VOID = {"meta", "link", "input"}


class Outline(HTMLParser):
    """The elements of a page; fails if they do not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.count, self.attributes, self.words = [], {}, [], []

    def handle_starttag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append((tag, dict(attrs).get("class", "")))

    def handle_startendtag(self, tag, attrs):
        self.count[tag] = self.count.get(tag, 0) + 1
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open[-1][0] == tag, (tag, self.open[-3:], self.getpos())
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "span" and self.open[-1][1].split()[:1] == ["w"]:
            self.words.append(data)


def outline(page):
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert not parser.open
    return parser


def test_texts_cannot_leave_their_place():
    plain = outline(render(record(sequence(1, len(NASTY)))))
    page = render(record(sequence(1, len(NASTY), texts=NASTY, label='<b>"\n&')))
    page.encode()
    o = outline(page)
    assert o.count == plain.count, "no text became an element"
    assert not [a for a, _ in o.attributes if a.startswith("on") or a == "style"]
    assert "<h2>&lt;b&gt;&quot;" in page
    legend, words = 3, len(NASTY)
    assert o.words[legend:legend + words] == [text.visible(t) for t in NASTY]
    assert embedded(page)["sequences"][0]["tokens"] == list(NASTY)
    assert embedded(page)["sequences"][0]["label"] == '<b>"\n&'


def test_white_space_is_seen():
    shown = {" the": "␣the", "a\nb": "a↵b", "\t": "⇥", "": "∅", "\x00": "\\u{0}", "\u202e": "\\u{202e}",
             "\ud800": "\\u{d800}", "né": "né", "##ing": "##ing"}
    assert {t: text.visible(t) for t in shown} == shown
    assert text.visible("a" * 61) == "a" * 59 + "…" and text.visible("a" * 60) == "a" * 60
    assert text.token("<&") == "&lt;&amp;" and text.escape("a 'b'\n") == "a &#x27;b&#x27;↵"


def test_characters_stand_together():
    for texts, expected in (("a text of characters", True), (["word", "by", "word", "."], False)):
        page = render(record(sequence(1, len(texts), texts=texts)))
        assert ('<div class="words letters">' in page) is expected and ('<div class="words">' in page) is not expected


def test_short_numbers():
    assert [text.size(n) for n in (0, 999, 1000, 64123, 999_400, 999_600, 12_345_678, 5e12)] == [
        "0 B", "999 B", "1 kB", "64.1 kB", "999 kB", "1 MB", "12.3 MB", "5000 GB"]
    assert [text.percent(*p) for p in ((0, 0), (0, 5), (1, 16), (1, 3))] == ["–", "0 %", "6.2 %", "33 %"]


def test_nothing_is_loaded():
    page = render(record(sequence(1, 9)))
    assert not re.search(r"https?:|//[a-z]|url\((?!#hatch)|@import|<iframe|<object|<img", page)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy


def test_the_states_of_words_and_cells():
    q = sequence(5, 12)
    page = render(record(q))
    for i, layer in enumerate(q.steps[0].layers):
        (line,) = re.findall(rf'<div class="line" data-row="{i}">(.*?)</div>', page)
        classes = re.findall(r'<span class="([^"]*)">', line)
        before = set(q.steps[0].layers[i - 1].alive) if i else set(range(12))
        assert classes == ["w" if t in layer.alive else "w new" if t in before else "w gone" for t in range(12)]
        cells, heads = re.findall(rf'<g class="r" data-row="{i}"[^>]*>(.*?)</g>', page)
        classes = re.findall(r'<rect class="([^"]*)"', cells)
        assert [c == "cut" for c in classes] == [t not in layer.alive for t in range(12)]
        mean = sum(layer.importance[t] for t in layer.alive) / len(layer.alive)
        for t in layer.alive:
            ratio = layer.importance[t] / mean
            # Levels are sqrt(2) apart, 4 is the mean, the ends are open.
            at = int(classes[t][1])
            assert (at == 0 or ratio > 2 ** ((at - 4.51) / 2)) and (at == 8 or ratio < 2 ** ((at - 3.49) / 2))
        cut = [c == "cut" for c in re.findall(r'<rect class="([^"]*)"', heads)]
        assert cut == [h not in layer.heads_alive for h in range(4)]
        assert f"{len(layer.alive)} / 12" in page and f"{len(layer.heads_alive)} / 4" in page


def test_sums_are_over_everything():
    sequences = [sequence(i, 10 + i, steps=3, label=f"text {i}") for i in range(SEQUENCES + 3)]
    page = render(record(*sequences))
    data = embedded(page)
    layers = [x for q in sequences for s in q.steps for x in s.layers]
    for field in ("queries", "refetched", "cycles", "dense_bytes"):
        assert data["total"][field] == sum(getattr(x, field) for x in layers)
    for name, count in data["total"]["bytes"].items():
        assert count == sum(x.bytes.get(name, 0) for x in layers)
    assert len(data["sequences"]) == SEQUENCES and data["left_out"] == [f"pictures of {SEQUENCES} of 15 sequences"]
    assert f"pictures of {SEQUENCES} of 15 sequences" in page and page.count('class="sequence"') == SEQUENCES
    assert page.count("<th>text ") == 3 * len(sequences), "bytes, cycles and LSBs of all of them"
    first = data["sequences"][0]
    assert [s["name"] for s in first["per_step"]] == ["token 7", "token 8", "token 9"]
    assert sum(s["cycles"] for s in first["per_step"]) == sum(x["cycles"] for x in first["per_layer"])
    assert first["steps"][1]["layers"][2]["alive"] == list(sequences[0].steps[1].layers[2].alive)
    assert f'{data["total"]["cycles"]:,}' in page
    moved, dense = sum(data["total"]["bytes"].values()), data["total"]["dense_bytes"]
    assert f"<b>{text.percent(moved, dense)}</b>" in page


@pytest.mark.parametrize("exact, says", [(True, "equals the golden model bit for bit"), (False, "DIFFERS"),
                                         (None, "")])
def test_it_says_where_numbers_come_from(exact, says):
    engine = "golden" if exact is None else "rtl"
    page = render(record(sequence(1, 5), engine=engine, bit_exact=exact))
    header = page[page.index("<header>"):page.index("</header>")]
    assert ("chip good" in header, "chip bad" in header) == (exact is True, exact is False) and says in header
    source = embedded(page)["importance_source"]
    assert html.escape(source) in page and ("ran beside it" in source) == (engine == "rtl")


def test_large_runs_stay_small():
    """1,000 tokens, 12 layers, 32 steps; and one text much longer, with more layers."""
    page = render(record(sequence(1, 1000, layers=12, heads=12, steps=32)))
    assert len(page.encode()) < 4_000_000
    said = embedded(page)["left_out"]
    assert any("of 32 steps" in s for s in said) and any("heat map column is 4 tokens" in s for s in said)
    assert all(html.escape(s) in page for s in said)
    steps = embedded(page)["sequences"][0]["steps"]
    assert steps[0]["step"] == 0 and steps[-1]["step"] == 31 and len(embedded(page)["sequences"][0]["per_step"]) == 32
    long = render(record(sequence(2, 6000, layers=40, heads=64)))
    assert len(long.encode()) < 5_000_000 and long.count("<span") < 30_000


def test_even_choices():
    assert spread(3, 5) == [0, 1, 2] and spread(10, 4) == [0, 3, 6, 9] and spread(10, 1) == [9]
    for count in (1, 7, 250, 251, 1000):
        parts = groups(count, 250)
        assert [i for g in parts for i in g] == list(range(count)) and len(parts) <= 250
