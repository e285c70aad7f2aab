"""`ipxact`: a component description after IEEE 1685-2014."""

from __future__ import annotations

from xml.etree import ElementTree

from .. import __version__
from ..config import SpAttenConfig
from ..interface.registers import RO, Register, registers
from ..interface.systemrdl import constant, fields_of
from .ports import SLAVE, SLAVE_BYTES, interface_ports, masters, top_ports

NAMESPACE = "http://www.accellera.org/XMLSchema/IPXACT/1685-2014"
#: Arm's bus definitions.
AXI4 = ("amba.com", "AMBA4", "AXI4", "r0p0_0")
AXI4_LITE = ("amba.com", "AMBA4", "AXI4-Lite", "r0p0_0")
ACCESS = {"RO": "read-only", "RW": "read-write", "W1C": "read-write", "WO": "write-only"}


def ipxact_files(c: SpAttenConfig, top: str) -> dict[str, str]:
    """`component.xml`: bus interfaces, address spaces, memory map with every register, ports and files."""
    ElementTree.register_namespace("ipxact", NAMESPACE)
    component = ElementTree.Element(_tag("component"))
    _values(component, vendor="spatten-hw", library="accelerator", name=top, version=__version__)
    _bus_interfaces(_child(component, "busInterfaces"), c)
    spaces = _child(component, "addressSpaces")
    for name in masters(c):
        space = _child(spaces, "addressSpace")
        _values(space, name=f"{name}_space", range=str(1 << c.axi_addr_bits), width=str(c.axi_data_bits))
    _memory_map(_child(component, "memoryMaps"), c)
    _model(_child(component, "model"), c, top)
    _file_sets(_child(component, "fileSets"), top)
    _values(component, description=f"SpAtten sparse-attention accelerator, configuration {c.hash:08x}")
    ElementTree.indent(component)
    # Not run here: Arm's bus definitions and tools that import components are not available to the project.
    note = ("<!-- Generated; do not edit. Structure checked by the project's tests; no IP-XACT tool has imported it. "
            "-->\n")
    return {"component.xml": '<?xml version="1.0" encoding="UTF-8"?>\n' + note
            + ElementTree.tostring(component, encoding="unicode") + "\n"}


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _child(parent: ElementTree.Element, tag: str, text: str | None = None, /, **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, _tag(tag), attributes)
    child.text = text
    return child


def _values(parent: ElementTree.Element, /, **values: str) -> None:
    for name, text in values.items():
        _child(parent, name, text)


def _bus_interfaces(parent: ElementTree.Element, c: SpAttenConfig) -> None:
    for name, signals in interface_ports(c).items():
        bus = _child(parent, "busInterface")
        _values(bus, name=name)
        vendor, library, kind, version = AXI4_LITE if name == SLAVE else AXI4
        _child(bus, "busType", vendor=vendor, library=library, name=kind, version=version)
        abstraction = _child(_child(bus, "abstractionTypes"), "abstractionType")
        _child(abstraction, "abstractionRef", vendor=vendor, library=library, name=f"{kind}_rtl", version=version)
        maps = _child(abstraction, "portMaps")
        for logical, physical in [("ACLK", "clk"), *((s.upper(), f"{name}_{s}") for s in signals)]:
            port = _child(maps, "portMap")
            _values(_child(port, "logicalPort"), name=logical)
            _values(_child(port, "physicalPort"), name=physical)
        if name == SLAVE:
            _child(_child(bus, "slave"), "memoryMapRef", memoryMapRef="registers")
        else:
            _child(_child(bus, "master"), "addressSpaceRef", addressSpaceRef=f"{name}_space")


def _memory_map(parent: ElementTree.Element, c: SpAttenConfig) -> None:
    memory = _child(parent, "memoryMap")
    _values(memory, name="registers")
    block = _child(memory, "addressBlock")
    _values(block, name="registers", baseAddress="0", range=str(SLAVE_BYTES), width="32", usage="register")
    for r in registers(c):
        _register(block, r)
    _values(memory, addressUnitBits="8")


def _register(block: ElementTree.Element, r: Register) -> None:
    register = _child(block, "register")
    volatile = "true" if r.access in (RO, "W1C") and not constant(r) else "false"
    _values(register, name=r.name, description=r.doc, addressOffset=f"'h{r.offset:x}", size="32", volatile=volatile,
            access=ACCESS[r.access])
    for f in fields_of(r):
        field = _child(register, "field")
        _values(field, name=f.name, description=f.doc, bitOffset=str(f.lsb))
        value = r.reset >> f.lsb & ((1 << f.width) - 1)
        _values(_child(_child(field, "resets"), "reset"), value=f"'h{value:x}")
        _values(field, bitWidth=str(f.width), volatile=volatile, access=ACCESS[r.access])
        if r.access == "W1C":
            _values(field, modifiedWriteValue="oneToClear")


def _model(model: ElementTree.Element, c: SpAttenConfig, top: str) -> None:
    view = _child(_child(model, "views"), "view")
    _values(view, name="rtl", envIdentifier=":*Synthesis:", componentInstantiationRef="verilog")
    instantiation = _child(_child(model, "instantiations"), "componentInstantiation")
    _values(instantiation, name="verilog", language="verilog", moduleName=top)
    _values(_child(instantiation, "fileSetRef"), localName="rtl")
    ports = _child(model, "ports")
    for name, (direction, width) in top_ports(c).items():
        port = _child(ports, "port")
        _values(port, name=name)
        wire = _child(port, "wire")
        _values(wire, direction=direction)
        if width > 1:
            _values(_child(_child(wire, "vectors"), "vector"), left=str(width - 1), right="0")


def _file_sets(parent: ElementTree.Element, top: str) -> None:
    for name, file, kind in (("rtl", f"../{top}.v", "verilogSource"), ("software", f"../{top}_regs.h", "cSource")):
        files = _child(parent, "fileSet")
        _values(files, name=name)
        _values(_child(files, "file"), name=file, fileType=kind)
