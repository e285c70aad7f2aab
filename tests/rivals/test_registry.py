"""Names, files of users, and the example of docs/rivals.md."""

import re
from pathlib import Path

import pytest

from spatten_hw.cli import main
from spatten_hw.sim.rivals import registry

PAGE = Path(__file__).resolve().parents[2] / "docs" / "rivals.md"
REQUESTS = """\
iteration_id,layer_id,head_id,embedding_length_D,sentence_length_L,key_fetch_num,quant_key_bit,quant_query_bit,\
auto_requant_thres,if_requant,auto_requant_incre,value_fetch_num,quant_value_bit
0,0,0,64,500,500,6,16,0.05,True,4,100,6
0,0,1,64,500,500,6,16,0.05,False,4,100,6
0,1,0,64,500,200,6,16,0.05,False,4,40,6
"""
ADD = "from spatten_hw.sim.rivals.registry import add_rival; from spatten_hw.sim.rivals.rival import Cost\n"
RIVAL = """\
class R:
    name = title = source = 'mine'; assumptions = ()
    def cost(self, layers, machine):
        """


@pytest.fixture(autouse=True)
def nothing_stays(monkeypatch):
    monkeypatch.setattr(registry, "RIVALS", dict(registry.RIVALS))
    monkeypatch.setattr(registry, "WORKLOADS", dict(registry.WORKLOADS))


def run(capsys, tmp_path, *arguments):
    code = main(["paper", "--quick", "--only", "rivals", "-o", str(tmp_path / "out"), *arguments])
    return code, capsys.readouterr()


def test_the_example_of_the_page(capsys, tmp_path):
    [example] = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 30
    (tmp_path / "my_rival.py").write_text(example)
    code, said = run(capsys, tmp_path, "--add", str(tmp_path / "my_rival.py"))
    page = (tmp_path / "out" / "paper.md").read_text("utf-8")
    assert code == 0 and "| window of 256 |" in page and "| grouped |" in page, said.err


@pytest.mark.parametrize(("arguments", "says"), [
    (["--rival", "tpu"], "unknown rival 'tpu'; rivals: spatten, dense,"),
    (["--on", "nothing"], "unknown workload 'nothing'; workloads: bert-base cola,"),
    (["--add", "none.py"], "--add none.py: there is no such file"),
    (["--only", "all"], "unknown part 'all'; parts: reductions,"),
    (["--workload", "none.csv"], "--workload none.csv: there is no such file"),
    (["--json", "none/x.json"], "none"),
])
def test_what_is_not_there(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = run(capsys, tmp_path, *arguments)
    assert code == 2 and said.err.splitlines()[-1].startswith("spatten-hw: error: ") and says in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("text", "says"), [
    ("x = 1\nraise ValueError('no')\n", r"bad.py, line 2: ValueError: no"), ("def\n", r"bad.py.*: SyntaxError"),
    ("from spatten_hw.sim.rivals.registry import add_workload\nadd_workload('bert-base cola', None, '')\n",
     "workload 'bert-base cola' is there already"),
    ("\ndef f(:\n", r"bad.py, line 2: SyntaxError"), ("import sys\nsys.exit(7)\n", r"bad.py, line 2: SystemExit: 7"),
    (f"{ADD}class R:\n    name = 'mine'\nadd_rival(R())\n", "rival mine: has no title, source, assumptions, cost;"),
    (f"{ADD}{RIVAL}return layers.nothing\nadd_rival(R())\n", r"rival 'mine', .*bad.py, line 5: AttributeError"),
    (f"{ADD}{RIVAL}return Cost(0 * layers.dim, layers.dim, layers.dim)\nadd_rival(R())\n",
     r"rival 'mine': cycles of its cost must be above 0"),
    (f"{ADD}{RIVAL}return Cost(1, 1, 1)\nadd_rival(R())\n", r"rival 'mine': cycles of its cost must be a number for")])
def test_a_file_that_fails(text, says, capsys, tmp_path):
    (tmp_path / "bad.py").write_text(text)
    code, said = run(capsys, tmp_path, "--add", str(tmp_path / "bad.py"))
    assert code == 2 and re.search(says, said.err.splitlines()[-1]) and said.err.count("Traceback") == 0
    assert not (tmp_path / "out").exists()


def test_requests_of_a_file(tmp_path):
    from spatten_hw.presets import PRESETS
    from spatten_hw.sim.rivals.requests import read_requests

    (tmp_path / "few.csv").write_text(REQUESTS)
    layers = read_requests(tmp_path / "few.csv", PRESETS["full"]).layers
    assert layers.heads.tolist() == [2, 1] and layers.model_heads.tolist() == [2, 2]
    assert layers.flat.tolist() == [0.5, 0] and layers.tokens.tolist() == [500, 200]
