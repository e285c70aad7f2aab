"""The commands of README and docs are understood by the command line that they speak of."""

import pytest

from spatten_hw.sim.release.__main__ import pages
from spatten_hw.sim.release.commands import RUN, documented, example_file, parse, run

ALL = [command for page in pages() for command in documented(page)]


@pytest.mark.parametrize("command", ALL, ids=lambda c: c.text)
def test_is_understood(command):
    parse(command)


def test_the_pages_have_commands():
    words = {command.words[0] for command in ALL}
    assert len(ALL) > 25 and {*RUN, "bench", "build", "evaluate", "generate-text"} <= words


def test_one_that_is_not_understood_is_named(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("text\n\n    spatten-hw generate --preset small --oops \\\n      -o x   # made\n")
    [command] = documented(page)
    assert command.line == 3
    with pytest.raises(ValueError, match=r"page.md:3: .*--oops"):
        parse(command)


def test_one_is_run_where_its_files_are(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("    spatten-hw run a.npz --preset small --engine golden\n    spatten-hw bench topk\n"
                    "    spatten-hw paper --quick --only design-space\n    spatten-hw paper\n")
    there, measured, quick, long = documented(page)
    assert run(there, tmp_path) == 2 and run(quick, tmp_path) == 0 and run(long, tmp_path) is None
    example_file(tmp_path / "a.npz")
    assert run(there, tmp_path) == 0 and run(measured, tmp_path) is None
