"""Request files for tests."""

from __future__ import annotations

from spatten_hw.sim.bench.requests import COLUMNS

#: A row with everything as the authors write it (the columns past `COLUMNS` are not looked at).
ROW = {"iteration_id": "0", "layer_id": "0", "head_id": "0", "embedding_length_D": "16.0", "sentence_length_L": "60",
       "key_fetch_num": "60", "quant_key_bit": "6", "quant_query_bit": "16", "auto_requant_thres": "0.05",
       "if_requant": "False", "auto_requant_incre": "4", "value_fetch_num": "12", "quant_value_bit": "6",
       "if_topk": "False", "topk": "-1"}
STATIC = {"quant_key_bit": "-1", "quant_query_bit": "-1", "quant_value_bit": "-1", "auto_requant_thres": "-1",
          "auto_requant_incre": "-1"}
COMMENT = "configs/some.yml" + "," * (len(ROW) - 1)


def row(**changes: object) -> str:
    return ",".join(str({**ROW, **changes}[name]) for name in ROW)


def text(*rows: str) -> str:
    """A file of these rows."""
    return "\n".join([",".join(ROW), *rows]) + "\n"


#: Five jobs on a build of eight heads: 3, 2, 1, 1 and 1 requests, three of them flat, and a comment.
SMALL_FILE = text(
    row(if_requant=True), row(head_id=1), row(head_id=2, if_requant="True"),
    row(sentence_length_L=61, key_fetch_num=25, value_fetch_num=5),
    row(sentence_length_L=61, key_fetch_num=25, value_fetch_num=5, if_requant=1),
    row(embedding_length_D=8, sentence_length_L=33, key_fetch_num=9, value_fetch_num=3, **STATIC),
    row(embedding_length_D=8, sentence_length_L=33, key_fetch_num=9, value_fetch_num=9, **STATIC),
    row(embedding_length_D=8, sentence_length_L=64, key_fetch_num=1, value_fetch_num=1, **STATIC), COMMENT)
SMALL_FLAT = [True, False, True, False, True, False, False, False]

assert set(COLUMNS) <= set(ROW)


def cascade_rows(counts: list[list[tuple[int, int]]], tokens: int = 40, heads: int = 2, flat: str = "False",
                 **changes: object) -> list[str]:
    """Rows of a cascade: `counts`: (keys, values) by iteration and layer; contexts grow by one token per iteration."""
    return [row(iteration_id=i, layer_id=layer, head_id=h, sentence_length_L=tokens + i, key_fetch_num=keys,
                value_fetch_num=values, **{"if_requant": flat if h == 0 else "False", **changes})
            for i, step in enumerate(counts) for layer, (keys, values) in enumerate(step) for h in range(heads)]


#: Three iterations of three layers of two heads, the first dense in its first layer; head 0 is flat everywhere.
CASCADE = [[(40, 8), (40, 8), (30, 6)], [(37, 7), (30, 30), (24, 1)], [(37, 7), (25, 5), (24, 2)]]
