"""`vivado`: Tcl that packages an IP, and one that builds a block design for a Zynq UltraScale+ board with it."""

from __future__ import annotations

from .. import __version__
from ..config import SpAttenConfig
from .ports import SLAVE, SLAVE_BYTES, interface_ports, masters
from .wrapper import wrapper_verilog

#: Memory of the example's channels: upper GiB of the processing system's low DDR, kept from its software.
MEMORY_BASE, MEMORY_BYTES = 0x4000_0000, 0x4000_0000
#: Data ports of the processing system into its DDR; the example distributes the channels over them.
MEMORY_PORTS = 4
FAMILIES = ("zynq", "artix7", "kintex7", "kintexu", "kintexuplus", "virtexuplus", "virtexuplusHBM", "zynquplus")
NOT_RUN = """\
# Generated; do not edit. Vivado was not available where this was written: the commands and their arguments are checked
# by the project's tests (a Tcl interpreter with Vivado's commands recorded), not by Vivado. Made for 2022.2 and later.
"""


def vivado_files(c: SpAttenConfig, top: str) -> dict[str, str]:
    """The shell to package, `package_ip.tcl`, and `zcu104.tcl` that makes a block design with the IP."""
    shell = f"{top}_axi"
    return {f"{shell}.v": wrapper_verilog(c, top, shell), "package_ip.tcl": _package_ip(c, top, shell),
            "zcu104.tcl": _block_design(c, shell)}


def _package_ip(c: SpAttenConfig, top: str, shell: str) -> str:
    interfaces = "".join(
        f"infer_bus {name} xilinx.com:interface:aximm_rtl:1.0 {{{' '.join(f'{name}_{s}' for s in signals)}}}\n"
        for name, signals in interface_ports(c).items())
    associations = "".join(f"ipx::associate_bus_interfaces -busif {name} -clock aclk $core\n"
                           for name in interface_ports(c))
    spaces = "".join(
        f"if {{[llength [ipx::get_address_spaces -quiet {name} -of_objects $core]] == 0}} {{\n"
        f"    ipx::add_address_space {name} $core\n"
        f"    set_property master_address_space_ref {name} [ipx::get_bus_interfaces {name} -of_objects $core]\n"
        f"}}\n" for name in masters(c))
    return f"""\
# Packages SpAtten (configuration {c.hash:08x}) as an IP with AXI interfaces, in folder ip beside this file:
#   vivado -mode batch -source package_ip.tcl
{NOT_RUN}
set here [file dirname [file normalize [info script]]]
set ip [file join $here ip]

create_project -in_memory -part xczu7ev-ffvc1156-2-e
add_files -norecurse [list [file join $here .. {top}.v] [file join $here {shell}.v]]
set_property top {shell} [current_fileset]
update_compile_order -fileset sources_1

ipx::package_project -root_dir $ip -vendor spatten-hw -library user -taxonomy /UserIP -import_files \\
    -set_current true -force
set core [ipx::current_core]
set_property name {shell} $core
set_property version {".".join(__version__.split(".")[:2])} $core
set_property display_name {{SpAtten sparse-attention accelerator}} $core
set_property description {{Configuration {c.hash:08x}, {c.channels} memory port(s)}} $core
set_property supported_families {{ {" ".join(f"{family} Production" for family in FAMILIES)} }} $core

# Packaging a project finds interfaces by their names; this names those that it did not.
proc infer_bus {{name type ports}} {{
    global core
    if {{[llength [ipx::get_bus_interfaces -quiet $name -of_objects $core]] == 0}} {{
        ipx::infer_bus_interface $ports $type $core
    }}
}}
{interfaces}infer_bus aclk xilinx.com:signal:clock_rtl:1.0 aclk
infer_bus aresetn xilinx.com:signal:reset_rtl:1.0 aresetn
infer_bus irq xilinx.com:signal:interrupt_rtl:1.0 irq

proc bus_parameter {{bus name value}} {{
    global core
    set interface [ipx::get_bus_interfaces $bus -of_objects $core]
    if {{[llength [ipx::get_bus_parameters -quiet $name -of_objects $interface]] == 0}} {{
        ipx::add_bus_parameter $name $interface
    }}
    set_property value $value [ipx::get_bus_parameters $name -of_objects $interface]
}}
bus_parameter aresetn POLARITY ACTIVE_LOW
bus_parameter irq SENSITIVITY LEVEL_HIGH
{associations}ipx::associate_bus_interfaces -clock aclk -reset aresetn $core

# {SLAVE_BYTES // 1024} KiB of registers behind the slave; an address space for each memory port.
if {{[llength [ipx::get_memory_maps -quiet {SLAVE} -of_objects $core]] == 0}} {{
    ipx::add_memory_map {SLAVE} $core
    set_property slave_memory_map_ref {SLAVE} [ipx::get_bus_interfaces {SLAVE} -of_objects $core]
}}
set map [ipx::get_memory_maps {SLAVE} -of_objects $core]
if {{[llength [ipx::get_address_blocks -quiet reg0 -of_objects $map]] == 0}} {{
    ipx::add_address_block reg0 $map
}}
set_property range {SLAVE_BYTES} [ipx::get_address_blocks reg0 -of_objects $map]
set_property usage register [ipx::get_address_blocks reg0 -of_objects $map]
{spaces}
ipx::create_xgui_files $core
ipx::update_checksums $core
ipx::check_integrity $core
ipx::save_core $core
"""


def _block_design(c: SpAttenConfig, shell: str) -> str:
    ports = min(MEMORY_PORTS, c.channels)
    share = MEMORY_BYTES // c.channels
    bases = "".join(f"    CONFIG.M_AXI_{i}_BASE 0x{MEMORY_BASE + i * share:013x} \\\n" for i in range(c.channels))
    enabled = "".join(f"    CONFIG.PSU__USE__S_AXI_GP{2 + p} 1 \\\n" for p in range(ports))
    memory = ""
    for p in range(ports):
        mine = masters(c)[p::ports]
        memory += (f"create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect memory{p}\n"
                   f"set_property -dict [list CONFIG.NUM_SI {len(mine)} CONFIG.NUM_MI 1 CONFIG.NUM_CLKS 1] "
                   f"[get_bd_cells memory{p}]\n")
        memory += "".join(f"connect_bd_intf_net [get_bd_intf_pins spatten/{name}] "
                          f"[get_bd_intf_pins memory{p}/S{n:02d}_AXI]\n" for n, name in enumerate(mine))
        memory += (f"connect_bd_intf_net [get_bd_intf_pins memory{p}/M00_AXI] "
                   f"[get_bd_intf_pins ps/S_AXI_HP{p}_FPD]\n")
    clocks = ["ps/maxihpm0_fpd_aclk", *(f"ps/saxihp{p}_fpd_aclk" for p in range(ports)), "reset/slowest_sync_clk",
              "control/aclk", *(f"memory{p}/aclk" for p in range(ports)), "spatten/aclk"]
    resets = ["control/aresetn", *(f"memory{p}/aresetn" for p in range(ports)), "spatten/aresetn"]
    return f"""\
# Example: SpAtten (configuration {c.hash:08x}) in a Zynq UltraScale+ on a ZCU104; makes folder project here:
#   vivado -mode batch -source package_ip.tcl
#   vivado -mode batch -source zcu104.tcl
{NOT_RUN}#
# Registers at 0xA0000000 of the processing system; interrupt pl_ps_irq0[0]; {c.channels} memory port(s) on {ports} HP
# port(s), channel i in the {share // (1 << 20)} MiB of DDR from 0x{MEMORY_BASE:x} + i * 0x{share:x}: keep them from the
# operating system (device tree: reserved-memory, no-map). HP ports are not coherent: flush caches, or map the memory
# uncached.

set here [file dirname [file normalize [info script]]]

create_project -force spatten [file join $here project] -part xczu7ev-ffvc1156-2-e
set_property board_part [lindex [get_board_parts -latest_file_version {{*zcu104*}}] 0] [current_project]
set_property ip_repo_paths [file join $here ip] [current_project]
update_ip_catalog

create_bd_design system
create_bd_cell -type ip -vlnv xilinx.com:ip:zynq_ultra_ps_e ps
apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {{apply_board_preset 1}} [get_bd_cells ps]
set_property -dict [list \\
    CONFIG.PSU__USE__M_AXI_GP0 1 \\
    CONFIG.PSU__USE__M_AXI_GP1 0 \\
    CONFIG.PSU__USE__M_AXI_GP2 0 \\
{enabled}    CONFIG.PSU__USE__IRQ0 1 \\
    CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100 \\
] [get_bd_cells ps]

create_bd_cell -type ip -vlnv spatten-hw:user:{shell} spatten
set_property -dict [list \\
{bases}] [get_bd_cells spatten]
create_bd_cell -type ip -vlnv xilinx.com:ip:proc_sys_reset reset
create_bd_cell -type ip -vlnv xilinx.com:ip:smartconnect control
set_property -dict [list CONFIG.NUM_SI 1 CONFIG.NUM_MI 1 CONFIG.NUM_CLKS 1] [get_bd_cells control]
connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_HPM0_FPD] [get_bd_intf_pins control/S00_AXI]
connect_bd_intf_net [get_bd_intf_pins control/M00_AXI] [get_bd_intf_pins spatten/{SLAVE}]
{memory}connect_bd_net [get_bd_pins ps/pl_clk0] {" ".join(f"[get_bd_pins {pin}]" for pin in clocks)}
connect_bd_net [get_bd_pins ps/pl_resetn0] [get_bd_pins reset/ext_reset_in]
connect_bd_net [get_bd_pins reset/peripheral_aresetn] {" ".join(f"[get_bd_pins {pin}]" for pin in resets)}
connect_bd_net [get_bd_pins spatten/irq] [get_bd_pins ps/pl_ps_irq0]

assign_bd_address -offset 0xA0000000 -range 4K [get_bd_addr_segs spatten/{SLAVE}/reg0]
assign_bd_address
validate_bd_design
save_bd_design
make_wrapper -files [get_files system.bd] -top -import
set_property top system_wrapper [current_fileset]
puts "next: launch_runs impl_1 -to_step write_bitstream; wait_on_run impl_1; write_hw_platform -fixed spatten.xsa"
"""
