"""The accelerator after synthesis: its mapped netlist as Verilog that the simulation takes in place of the RTL."""
