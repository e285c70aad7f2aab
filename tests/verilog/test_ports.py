"""Every port of the accelerator and of its units is explained where the class declares it."""

import ast
import importlib
import inspect
import textwrap

import pytest

from spatten_hw.presets import SMALL
from spatten_hw.shared import only_asked
from spatten_hw.units import UNITS

COMPONENTS = {"Accelerator": "accelerator:Accelerator"} | {unit.name: unit.component for unit in UNITS}


def explained(kind: type) -> dict[str, str]:
    """Annotated name → the `#:` comment above it."""
    lines = inspect.getsource(kind).splitlines()
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0].body
    found = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = lines[node.lineno - 2].strip()
            found[node.target.id] = above.removeprefix("#:").strip() if above.startswith("#:") else ""
    return found


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_port_is_explained(name):
    module, _, cls = COMPONENTS[name].partition(":")
    kind = getattr(importlib.import_module(f"spatten_hw.{module}"), cls)
    component = kind(SMALL.replace(decision_rules=1))          # some ports are of these alone
    only_asked(component)
    docs = explained(kind)
    assert not [port for port in component.signature.members if not docs.get(port)]
    assert not [port for port in docs if port not in component.signature.members and port.islower()
                and docs[port]], "explained, and no port"
