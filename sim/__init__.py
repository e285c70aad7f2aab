"""The accelerator in simulation: here the engines (golden, float64, the generated Verilog) that compute a workload,
and what shows progress; folders for the model, the simulator, benches, models and tools. Imported as `spatten_hw.sim`.

May import: config, errors, host, host.workload, sim.golden, sim.harness.
"""
