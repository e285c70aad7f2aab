"""The IP-XACT component: well formed, in the standard's order, and the same ports and registers as the design."""

from xml.etree import ElementTree

import pytest

from spatten_hw.interface.registers import Field, Register, registers
from spatten_hw.interface.systemrdl import fields_of
from spatten_hw.package import ipxact
from spatten_hw.package.ipxact import ACCESS, NAMESPACE, ipxact_files
from spatten_hw.package.ports import interface_ports, masters, top_ports
from spatten_hw.presets import PRESETS

N = {"i": NAMESPACE}
#: Order of children that IEEE 1685-2014 prescribes, for what is used.
ORDER = {
    "component": ["vendor", "library", "name", "version", "busInterfaces", "addressSpaces", "memoryMaps", "model",
                  "fileSets", "description"],
    "busInterface": ["name", "busType", "abstractionTypes", "slave", "master"],
    "abstractionType": ["abstractionRef", "portMaps"],
    "memoryMap": ["name", "addressBlock", "addressUnitBits"],
    "addressBlock": ["name", "baseAddress", "range", "width", "usage", "register"],
    "register": ["name", "description", "addressOffset", "size", "volatile", "access", "field"],
    "field": ["name", "description", "bitOffset", "resets", "bitWidth", "volatile", "access", "modifiedWriteValue"],
    "model": ["views", "instantiations", "ports"],
    "port": ["name", "wire"], "wire": ["direction", "vectors"], "fileSet": ["name", "file"],
}


def number(text):
    return int(text.removeprefix("'h"), 16) if text.startswith("'h") else int(text)


@pytest.fixture(params=PRESETS)
def component(request):
    config = PRESETS[request.param]
    return config, ElementTree.fromstring(ipxact_files(config, "spatten")["component.xml"])


def text(element, path):
    return element.find("/".join(f"i:{p}" for p in path.split("/")), N).text


def test_children_are_in_the_standards_order(component):
    _, root = component
    found = set()
    for element in root.iter():
        name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
        if name in ORDER:
            places = [ORDER[name].index(child.tag.removeprefix(f"{{{NAMESPACE}}}")) for child in element]
            assert places == sorted(places), name
            found.add(name)
    assert found == set(ORDER)


def test_registers_are_the_table(component):
    config, root = component
    found = root.findall(".//i:register", N)
    assert len(found) == len(registers(config))
    for element, r in zip(found, registers(config), strict=True):
        assert (text(element, "name"), number(text(element, "addressOffset"))) == (r.name, r.offset)
        assert text(element, "access") == ACCESS[r.access] and text(element, "description") == r.doc
        fields = element.findall("i:field", N)
        assert [(text(f, "name"), int(text(f, "bitOffset")), int(text(f, "bitWidth"))) for f in fields] == [
            (f.name, f.lsb, f.width) for f in fields_of(r)]
        assert sum(number(text(f, "resets/reset/value")) << int(text(f, "bitOffset")) for f in fields) == r.reset


def test_every_field_has_its_part_of_the_reset_value(monkeypatch):
    """The table has no register whose reset value lies in several fields: one made up."""
    made = Register("MADE", 0, "RW", 0xA53, "made up", (Field("LOW", 0, 4, "low"), Field("HIGH", 8, 4, "high")))
    monkeypatch.setattr(ipxact, "registers", lambda _: (made,))
    root = ElementTree.fromstring(ipxact_files(PRESETS["small"], "spatten")["component.xml"])
    values = {text(f, "name"): number(text(f, "resets/reset/value")) for f in root.findall(".//i:field", N)}
    assert (values["LOW"], values["HIGH"]) == (0x3, 0xA)


def test_ports_and_interfaces_fit(component):
    config, root = component
    ports = {}
    for port in root.findall(".//i:model/i:ports/i:port", N):
        vector = port.find("i:wire/i:vectors/i:vector/i:left", N)
        ports[text(port, "name")] = (text(port, "wire/direction"), 1 if vector is None else int(vector.text) + 1)
    assert ports == top_ports(config)
    interfaces = root.findall(".//i:busInterface", N)
    assert [text(b, "name") for b in interfaces] == list(interface_ports(config))
    spaces = {text(s, "name") for s in root.findall(".//i:addressSpace", N)}
    for bus in interfaces:
        name = text(bus, "name")
        maps = {text(p, "logicalPort/name"): text(p, "physicalPort/name") for p in bus.findall(".//i:portMap", N)}
        assert maps.pop("ACLK") == "clk"
        assert maps == {s.upper(): f"{name}_{s}" for s in interface_ports(config)[name]}
        if name in masters(config):
            assert bus.find("i:master/i:addressSpaceRef", N).get("addressSpaceRef") in spaces
        else:
            assert bus.find("i:slave/i:memoryMapRef", N).get("memoryMapRef") == text(root, "memoryMaps/memoryMap/name")
