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

#: Channels in the drawing of memory, and rows of a head on each.
CHANNELS, ROWS = 4, 2
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
    """Rows of K and V stay in their slice; what passes between slices are scalars, and sums of outputs."""
    boxes = [
        Box("memory", 0, 0, 2.2, 7.4, "memory\n\nC AXI4\nchannels", OUTSIDE),
        Box("slice", 3.3, 2.2, 10.6, 3.1, "", "#ffffff"),
        Box("reader", 3.6, 2.9, 2.8, 1.8, "bus/, fetch/\nreads of a channel,\nconverter (1)"),
        Box("qk", 8.2, 3.9, 3.4, 1.2, "matmul/ Q×K,\nK memory (2, 3)"),
        Box("pv", 8.2, 2.4, 3.4, 1.2, "matmul/ Prob×V,\nV memory (9, 10)"),
        Box("name", 11.8, 2.9, 1.9, 1.6, "S slices,\none or more\nper channel", "#ffffff"),
        Box("softmax", 16, 3.9, 2.7, 1.2, "softmax/ and\ndecision (4, 5)"),
        Box("local", 20.4, 3.9, 2.7, 1.2, "topk/local\nvalues (6 – 8)"),
        Box("gather", 20.4, 2.4, 2.7, 1.2, "matmul/ gather\nof gangs"),
        Box("write", 12, 0, 4.4, 1.2, "Σ over slices,\nwrite/ requantise, write"),
        Box("prune", 8.2, 6.6, 6.4, 1.2, "prune/ importance, survivors", STORE),
        Box("control", 16, 6.6, 5.2, 1.2, "control/ registers, jobs,\ntwo stages, work items", CONTROL),
        Box("host", 22.2, 6.6, 1.4, 1.2, "host", OUTSIDE),
    ]
    arrows = [
        Arrow("memory.E@3.8", "reader.W", "rows"), Arrow("reader.E@4.4", "qk.W@4.4", "K, Q"),
        Arrow("reader.E@3.1", "pv.W@3.1", "V"), Arrow("qk.E@4.8", "softmax.W@4.8", "scores", ((14, 4.8),), 1),
        Arrow("softmax.E", "local.W", "probs"), Arrow("local.S", "gather.N"),
        Arrow("gather.W@2.6", "pv.E@2.6", "kept rows of V, probabilities", ((14, 2.6),)),
        Arrow("pv.S@10.4", "write.N@12.8", "", ((10.4, 1.4), (12.8, 1.4))),
        Arrow("write.W", "memory.E@0.6", "outputs and state"),
        Arrow("softmax.N@16.6", "prune.S@12.6", "", ((16.6, 6.1), (12.6, 6.1))),
        Arrow("prune.W", "reader.N@5", "which rows", ((5, 7.2),)),
        Arrow("softmax.S", "reader.S@4.6", "flat row: read its LSBs", ((17.35, 1.65), (4.6, 1.65)), 1),
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
        Box("finish", 18.4, 3, 2.8, 1.4, "FINISH: importance\nis complete", STORE),
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
        ("survivors", "survivors by class\nprune/class_lists.py", STORE),
        ("walk", "slice and address\nfetch/key_walk.py", LOGIC),
        ("issue", "burst, with a note\nbus/read_issue.py", LOGIC),
        ("pool", "beats, in any order\nbus/beat_pool.py", LOGIC),
        ("choice", "a row that is complete\nbus/row_choice.py", LOGIC),
        ("steps", "steps of at most a beat\nfetch/row_steps.py", LOGIC),
        ("convert", "chunks of operands\nfetch/converter.py", LOGIC),
        ("score", "times q of every member\nmatmul/score.py", LOGIC),
        ("store", "slot and row of the score\nsoftmax/slice_scores.py", STORE),
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
    """The rows of two heads on every channel."""
    plane = Plane(base=0, head_stride=ROWS, token_stride=1, nbytes=1, channels=CHANNELS)
    boxes = [Box(f"c{c}", 0, -c * 1.3, 2.4, 1, f"channel {c}", OUTSIDE) for c in range(CHANNELS)]
    for head, colour in ((0, STORE), (1, LOGIC)):
        for token in range(CHANNELS * ROWS):
            channel, place = int(plane.channel(head, token)), int(plane.address(head, token))
            x, y = 2.8 + place * 4.1 + head * 0.8, -channel * 1.3
            boxes += [Box(f"row{head}_{token}", x, y, 3.3, 1, f"head {head}, token {token}\nD elements", colour),
                      Box(f"pad{head}_{token}", x + 3.3, y, 0.6, 1, "··", OUTSIDE)]
    return draw(boxes, ())


def all_drawings() -> dict[str, bytes]:
    """File name → SVG."""
    return {"drawings/datapath.svg": datapath(), "drawings/job.svg": job_life(), "drawings/key_row.svg": key_row(),
            "drawings/memory.svg": memory_layout()}
