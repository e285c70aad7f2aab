"""The commands of `spatten-hw` that need no simulation, and what all commands share; the others are in `sim/commands/`
and `boards/`.

May import: config, errors, generate, presets, user_text.
"""
