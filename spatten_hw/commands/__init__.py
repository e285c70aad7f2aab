"""The commands of `spatten-hw` that need no simulation, and what all commands share; the others are in `sim/commands/`
and `boards/`. May import everything of the generator, and nothing of `sim` and `boards`."""
