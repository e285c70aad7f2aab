"""Which tests `make quick` runs: for the loop of a change, from an empty cache in three minutes.

Every block once, in its first build; the golden model; the model of cycles; preset `small`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

#: Folders of which all tests run.
WHOLE = ("cli", "config", "host", "primitives")
#: Folders of which every test runs with the first of its cases.
FIRST_CASE = ("bus", "control", "fetch", "golden", "matmul", "perf", "presets", "prune", "softmax", "stream", "topk",
              "write")
#: Others, by the beginning of their names.
NAMED = ("tests/integration/test_relations.py",)
#: Not these, which take the longest and say the least about a change.
SLOW = ("tests/cli/test_cli.py::test_generate_twice_gives_the_same_bytes",
        "tests/topk/test_engines.py::test_line_rate_of_the_papers_size",
        "tests/topk/test_engines.py::test_rate_of_the_papers_engine")


def chosen(names: Iterable[str]) -> set[str]:
    """Those of the tests called `names` ("tests/folder/file.py::test[case]", in the order in which they are collected)
    that are quick."""
    quick, met = set(), set()
    for name in names:
        folder = PurePosixPath(name.split("::")[0]).parts[1]
        function = name.split("[")[0]
        first = folder in FIRST_CASE and function not in met
        if (folder in WHOLE or name.startswith(NAMED) or first) and not name.startswith(SLOW):
            quick.add(name)
        met.add(function)
    return quick
