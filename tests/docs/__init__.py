"""The site builds without a warning, what it shows in code runs, and the examples do what they say."""
