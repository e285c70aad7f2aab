"""The site's drawings as SVG: boxes at places, arrows between them (schemdraw, without any program beside Python).

A drawing is a list of boxes (name, x, y, width, height, text, colour) and of arrows (from, to, text): a name with a
side, as in "fetch.E", is the middle of that side; "memory.E@0.7" is on that side at y = 0.7 (or x, of N and S).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import schemdraw
from schemdraw import elements

from spatten_hw.host.layout import Plane

schemdraw.use("svg")
schemdraw.config(fontsize=9, font="sans-serif")

#: Channels of the rows of (head, token), heads 0 and 1, tokens 0 … 3, four channels.
CHANNEL = [[int(Plane(0, 0, 0, 0, channels=4).channel(head, token)) for token in range(4)] for head in range(2)]
STORE, LOGIC, OUTSIDE, CONTROL = "#dbe9f6", "#e4f3e4", "#f3ead7", "#f6dfe0"


@dataclass(frozen=True)
class Box:
    """A labelled rectangle; `x`, `y`: its lower left corner."""

    name: str
    x: float
    y: float
    w: float
    h: float
    text: str
    colour: str = LOGIC

    def side(self, side: str) -> tuple[float, float]:
        """The middle of side N, S, E or W."""
        return {"N": (self.x + self.w / 2, self.y + self.h), "S": (self.x + self.w / 2, self.y),
                "E": (self.x + self.w, self.y + self.h / 2), "W": (self.x, self.y + self.h / 2)}[side]


@dataclass(frozen=True)
class Arrow:
    """From side to side, straight, or round by way of points; `text` above the middle of its piece number `piece`."""

    start: str
    end: str
    text: str = ""
    by: tuple[tuple[float, float], ...] = ()
    piece: int = 0


def draw(boxes: Iterable[Box], arrows: Iterable[Arrow]) -> bytes:
    """The SVG."""
    named = {box.name: box for box in boxes}

    def place(end: str) -> tuple[float, float]:
        end, _, at = end.partition("@")
        name, _, side = end.partition(".")
        x, y = named[name].side(side)
        return (x, y) if not at else (x, float(at)) if side in "EW" else (float(at), y)

    with schemdraw.Drawing(show=False) as drawing:
        for box in named.values():
            drawing += elements.Rect(corner1=(box.x, box.y), corner2=(box.x + box.w, box.y + box.h),
                                     fill=box.colour).at((0, 0)).color("#333333")
            drawing += elements.Label().at((box.x + box.w / 2, box.y + box.h / 2)).label(
                box.text, loc="center", halign="center", valign="center").color("#111111")
        for arrow in arrows:
            points = [place(arrow.start), *arrow.by, place(arrow.end)]
            for first, second in itertools.pairwise(points):
                drawing += elements.Line().at(first).to(second).color("#555555")
            drawing += elements.Arrow().at(points[-2]).to(points[-1]).color("#555555")
            if arrow.text:
                (x0, y0), (x1, y1) = points[arrow.piece], points[arrow.piece + 1]
                drawing += elements.Label().at(((x0 + x1) / 2, (y0 + y1) / 2 + 0.12)).label(
                    arrow.text, loc="center", halign="center", valign="bottom", fontsize=8).color("#555555")
    return drawing.get_imagedata("svg")


def datapath() -> bytes:
    """Data move from left to right once; what flows back are ids and requests for LSBs."""
    boxes = [
        Box("memory", 0, 0, 2.2, 7.4, "memory\n\nC AXI4\nchannels", OUTSIDE),
        Box("fetch", 3.6, 2.6, 2.6, 2.4, "fetch/\nQ-K-V fetcher\n(1)", LOGIC),
        Box("qk", 7.4, 2.6, 2.6, 2.4, "matmul/\nQ×K of S slices,\nK SRAMs (2, 3)", LOGIC),
        Box("softmax", 11.2, 2.6, 2.6, 2.4, "softmax/\nand decision\n(4, 5)", LOGIC),
        Box("local", 15, 2.6, 2.6, 2.4, "topk/local\nlocal values\n(6 – 8)", LOGIC),
        Box("pv", 18.8, 2.6, 2.6, 2.4, "matmul/\nProb×V of S slices,\nV SRAMs (9, 10)", LOGIC),
        Box("write", 18.8, 0, 2.6, 1.4, "write/\nrequantise, write", LOGIC),
        Box("prune", 7.4, 6, 6.4, 1.4, "prune/\nimportance, token and head pruning, survivors", STORE),
        Box("control", 15, 6, 6.4, 1.4, "control/\nregisters, jobs, two stages, work items", CONTROL),
        Box("host", 22.8, 6, 1.8, 1.4, "host", OUTSIDE),
    ]
    arrows = [
        Arrow("memory.E@3.8", "fetch.W", "reads"), Arrow("fetch.E", "qk.W", "K, Q"),
        Arrow("qk.E", "softmax.W", "scores"),
        Arrow("softmax.E", "local.W", "probs"), Arrow("local.E", "pv.W", "kept"), Arrow("pv.S", "write.N"),
        Arrow("write.W", "memory.E@0.7", "outputs and state"),
        Arrow("softmax.N", "prune.S", "", ((12.5, 5.5), (10.6, 5.5))),
        Arrow("prune.W", "fetch.N", "surviving ids", ((4.9, 6.7),)),
        Arrow("softmax.S", "fetch.S", "flat row: fetch its LSBs", ((12.5, 1.7), (4.9, 1.7)), 1),
        Arrow("fetch.S@4.2", "pv.S@19.3", "V", ((4.2, 2.2), (19.3, 2.2)), 1),
        Arrow("host.W", "control.E"), Arrow("control.W", "prune.E"),
    ]
    return draw(boxes, arrows)


def job_life() -> bytes:
    """From the host's push to the completion."""
    boxes = [
        Box("push", 0, 3, 2.6, 1.4, "host pushes the\ndescriptor's address", OUTSIDE),
        Box("queue", 3.6, 3, 2.2, 1.4, "queue", CONTROL),
        Box("read", 6.8, 3, 2.8, 1.4, "descriptor read\nand checked", CONTROL),
        Box("prepare", 10.6, 3, 2.8, 1.4, "PREPARE: prune\ntokens, heads", STORE),
        Box("front", 14.4, 3, 3, 1.4, "front stage: K, Q,\nscores, softmax"),
        Box("finish", 18.4, 3, 2.8, 1.4, "FINISH: merge\nimportance", STORE),
        Box("back", 14.4, 0.6, 3, 1.4, "back stage: top-k,\nV, outputs"),
        Box("done", 18.4, 0.6, 2.8, 1.4, "completion, irq", OUTSIDE),
    ]
    arrows = [
        Arrow("push.E", "queue.W"), Arrow("queue.E", "read.W"), Arrow("read.E", "prepare.W"),
        Arrow("prepare.E", "front.W"), Arrow("front.E", "finish.W"), Arrow("front.S", "back.N"),
        Arrow("back.E", "done.W"),
        Arrow("finish.N", "prepare.N", "the next job begins here, while this one's outputs are made",
              ((19.8, 5.2), (12, 5.2)), 1),
    ]
    return draw(boxes, arrows)


def key_row() -> bytes:
    """What a row of K passes, and which file it is."""
    steps = [
        ("survivors", "survivors of a class\nprune/class_lists.py", STORE),
        ("walk", "a row per slice\nfetch/key_walk.py", LOGIC),
        ("address", "its address\nfetch/plane_address.py", LOGIC),
        ("issue", "AXI id, bursts per page\nbus/read_issue.py", LOGIC),
        ("pool", "beats of whole rows\nbus/beat_pool.py", STORE),
        ("steps", "steps of a row\nfetch/row_steps.py", LOGIC),
        ("convert", "chunks of N operands\nfetch/converter.py", LOGIC),
        ("score", "a product per cycle\nmatmul/score.py", LOGIC),
        ("slots", "scores by slot and row\nsoftmax/score_slots.py", STORE),
    ]
    boxes = []
    for i, (name, text, colour) in enumerate(steps):
        column, line = (i % 3), i // 3
        boxes.append(Box(name, column * 5, -line * 2.4, 3.8, 1.4, text, colour))
    arrows = []
    for first, second in itertools.pairwise(boxes):
        if first.y == second.y:
            arrows.append(Arrow(f"{first.name}.E", f"{second.name}.W"))
        else:
            middle = first.y - 0.5
            arrows.append(Arrow(f"{first.name}.S", f"{second.name}.N", "",
                                ((first.x + first.w / 2, middle), (second.x + second.w / 2, middle))))
    return draw(boxes, arrows)


def memory_layout() -> bytes:
    """The rows of a plane, and the channels that they are in."""
    boxes = [Box(f"row{head}{token}", (4 * head + token) * 2.4, 3, 2.2, 1, f"head {head}\ntoken {token}", LOGIC)
             for head in range(2) for token in range(4)]
    boxes += [Box(f"c{i}", i * 4.9, 0, 4.2, 1, f"channel {i}", OUTSIDE) for i in range(4)]
    arrows = [Arrow(f"row{head}{token}.S", f"c{CHANNEL[head][token]}.N") for head in range(2) for token in range(4)]
    return draw(boxes, arrows)


def all_drawings() -> dict[str, bytes]:
    """File name → SVG."""
    return {"drawings/datapath.svg": datapath(), "drawings/job.svg": job_life(), "drawings/key_row.svg": key_row(),
            "drawings/memory.svg": memory_layout()}
