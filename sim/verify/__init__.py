"""How well the tests guard the generator: mutants of the design that they must kill, and coverage."""
