"""`make docs`: strict, without a network, every page reached."""

import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="pip install 'spatten-hw[docs]'")
ROOT = Path(__file__).resolve().parents[2]
#: Nobody answers there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    env = os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1",
                        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)}
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", folder], cwd=ROOT,
                          env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_nothing_comes_from_elsewhere(site):
    """No script, style, font or picture of another host."""
    for page in site.rglob("*.html"):
        found = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text("utf-8"))
        assert not found, page


def test_every_link_leads_somewhere(site):
    for page in site.rglob("*.html"):
        text = page.read_text("utf-8")
        for target in re.findall(r'(?:href|src)="([^"#][^"]*)"', text):
            if page.name == "404.html" or re.match(r"[a-z]+:", target):
                continue
            path = urllib.parse.unquote(target.split("#")[0].split("?")[0])
            assert not path or (page.parent / path).exists(), f"{page.name}: {target}"


def test_what_is_generated_is_there(site):
    commands = (site / "reference/commands.html").read_text("utf-8")
    for text in ("spatten-hw bench attention", "spatten-hw cache", "--clear"):
        assert text in commands
    assert "axi_data_bits" in (site / "reference/configuration.html").read_text("utf-8")
    assert "JOB_PUSH" in (site / "reference/registers.html").read_text("utf-8")
    assert "run_layers" in (site / "reference/python.html").read_text("utf-8")
    for name in ("datapath", "job", "key_row", "memory"):
        assert (site / f"drawings/{name}.svg").read_bytes().startswith(b"<svg")


def test_every_box_of_the_paper_leads_to_a_file():
    """Files that docs/how.md and docs/extend.md name are there."""
    for page in ("how.md", "extend.md", "glossary.md"):
        text = (ROOT / "docs" / page).read_text("utf-8")
        folder = "spatten_hw/"
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
            places = [ROOT / name, ROOT / folder / name, ROOT / "sim/golden" / name]
            places += list((ROOT / folder).glob(f"*/{name}"))
            assert any(path.exists() for path in places), f"{page}: {name}"
