"""What every block is built of, one primitive per file: widths and rounding, one-hot selection, trees of adders and of
comparators, products with strides, ring indices, pipeline registers. Functions on Amaranth values, without streams.

May import: nothing of the project.
"""
