"""`registers.rdl`: the register map in SystemRDL 2.0, for register tools (headers, UVM models, documentation)."""

from __future__ import annotations

from ..config import SpAttenConfig
from .registers import COUNTER_BASE, PARAMETER_BASE, RO, RW, W1C, Field, Register, registers


def fields_of(r: Register) -> tuple[Field, ...]:
    """The fields of a register; one over all 32 bits, named VALUE, where the table names none."""
    return r.fields or (Field("VALUE", 0, 32, r.doc),)


def constant(r: Register) -> bool:
    """Whether the register always reads as its reset value: identification and build parameters."""
    return r.access == RO and (r.name in ("ID", "VERSION", "CONFIG_HASH") or PARAMETER_BASE <= r.offset < COUNTER_BASE)


def system_rdl(c: SpAttenConfig) -> str:
    """Content of `registers.rdl`: address map `spatten`, 32-bit registers at byte offsets."""
    out = ["// SpAtten register map in SystemRDL 2.0. Generated; do not edit.",
           "addrmap spatten {", '    name = "SpAtten";',
           f'    desc = "Registers of configuration {_text(c.name)}, hash {c.hash:08x}.";',
           "    default regwidth = 32;", "    default accesswidth = 32;", "    littleendian;", ""]
    for r in registers(c):
        # SystemRDL allows reads with a user-defined side effect (`ruser`) only in external registers.
        out += ["    external reg {" if _read_acts(r) else "    reg {", f'        desc = "{_text(r.doc)}";']
        for f in fields_of(r):
            value = r.reset >> f.lsb & ((1 << f.width) - 1)
            out.append(f'        field {{ desc = "{_text(f.doc)}"; {_behaviour(r)} }} '
                       f"{f.name}[{f.lsb + f.width - 1}:{f.lsb}] = {f.width}'h{value:x};")
        out.append(f"    }} {r.name} @ 0x{r.offset:03x};")
    return "\n".join([*out, "};", ""])


def _read_acts(r: Register) -> bool:
    """Whether a read has a side effect: of COMPLETION it removes an entry, of a counter's low half it latches the high
    half."""
    return r.name == "COMPLETION" or (r.offset >= COUNTER_BASE and r.name.endswith("_LO"))


def _behaviour(r: Register) -> str:
    """Access properties of the fields of `r`."""
    if r.access == RO:
        return f"sw = r; hw = {'r' if constant(r) else 'w'};" + (" onread = ruser;" if _read_acts(r) else "")
    if r.access == W1C:
        return "sw = rw; onwrite = woclr; hw = w; hwset;"
    return "sw = rw; hw = r;" if r.access == RW else "sw = w; hw = r;"


def _text(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
