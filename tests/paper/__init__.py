"""The paper's evaluation: numbers, sorter, pages, and whether docs/paper.md is what the models say."""
