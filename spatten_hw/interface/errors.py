"""Why a job ended: one code per rule an illegal job can break, one per class of memory access that failed."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """Error code of a finished job (8 bits). `text` says it in words."""

    OK = 0
    # The descriptor breaks a rule; the job was not run (`validate.py` has the rules, in this order).
    DESCRIPTOR_ADDRESS = 1
    RESERVED_BITS = 2
    BAD_DIM = 3
    BAD_Q_BITS = 4
    BAD_K_BITS = 5
    K_TOO_WIDE = 6
    BAD_V_BITS = 7
    V_TOO_WIDE = 8
    BAD_THRESHOLD = 9
    ZERO_HEADS = 10
    ZERO_GROUP = 11
    GROUP_TOO_LARGE = 12
    TOO_MANY_HEADS = 13
    ZERO_TOKENS = 14
    TOO_MANY_TOKENS = 15
    ZERO_KEEP_TOKENS = 16
    ZERO_KEEP_HEADS = 17
    ZERO_KEEP_VALUES = 18
    PROTECTED_EXCEED_KEEP = 19
    CAUSAL_GENERATION = 20
    RESTART_AND_LOAD = 21
    SRAM_OVERFLOW = 22
    MISALIGNED_OUTPUT = 23
    MISALIGNED_IDS_IN = 24
    MISALIGNED_IDS_OUT = 25
    MISALIGNED_SCORES_IN = 26
    MISALIGNED_SCORES_OUT = 27
    STRIDE_TOO_LARGE = 28
    RANGE_Q = 29
    RANGE_K_MSB = 30
    RANGE_K_LSB = 31
    RANGE_V_MSB = 32
    RANGE_V_LSB = 33
    RANGE_OUTPUT = 34
    RANGE_IDS_IN = 35
    RANGE_IDS_OUT = 36
    RANGE_SCORES_IN = 37
    RANGE_SCORES_OUT = 38
    RANGE_DESCRIPTOR = 39
    BAD_SCALE = 40
    MISALIGNED_ROWS = 41
    PROMPT_LSB_BY_KEY = 42
    NO_LSB_BY_KEY = 43
    BAD_MASS_SHARE = 44
    BAD_GIVE_BACK = 45
    NO_DECISION_RULES = 46
    PROMPT_QUERIES = 47
    QUERIES_EXCEED_TOKENS = 48
    QUERIES_UNPROTECTED = 49
    # A memory access was answered with an error.
    READ_DESCRIPTOR = 64
    READ_STATE = 65
    READ_Q = 66
    READ_K = 67
    READ_V = 68
    #: The survivors that were read do not fit the job.
    BAD_STATE = 72
    WRITE_OUTPUT = 80
    WRITE_STATE = 81
    #: The job took more cycles than JOB_LIMIT. It was not stopped; no other job starts until a reset.
    TIMEOUT = 96

    @property
    def text(self) -> str:
        """One line for a user."""
        return _TEXTS[self]


_TEXTS = {
    ErrorCode.OK: "job finished",
    ErrorCode.DESCRIPTOR_ADDRESS: "the descriptor's address is not a multiple of 8 or not inside a channel's memory",
    ErrorCode.RESERVED_BITS: "a bit of the descriptor that has no meaning is not 0",
    ErrorCode.BAD_DIM: "dim is not a multiple of the build's chunk, or exceeds max_dim",
    ErrorCode.BAD_Q_BITS: "q_bits is not a plane width or exceeds the build's operand_bits",
    ErrorCode.BAD_K_BITS: "k_msb is not a plane width, or k_lsb is neither 0 nor 4",
    ErrorCode.K_TOO_WIDE: "k_msb + k_lsb exceeds the build's operand_bits",
    ErrorCode.BAD_V_BITS: "v_msb is not a plane width, or v_lsb is neither 0 nor 4",
    ErrorCode.V_TOO_WIDE: "v_msb + v_lsb exceeds the build's operand_bits",
    ErrorCode.BAD_THRESHOLD: "threshold exceeds 4096 (a probability of 1)",
    ErrorCode.ZERO_HEADS: "heads is 0",
    ErrorCode.ZERO_GROUP: "group is 0",
    ErrorCode.GROUP_TOO_LARGE: "group exceeds the build's max_group",
    ErrorCode.TOO_MANY_HEADS: "heads × group exceeds the build's max_heads",
    ErrorCode.ZERO_TOKENS: "tokens is 0",
    ErrorCode.TOO_MANY_TOKENS: "tokens exceeds the build's max_tokens",
    ErrorCode.ZERO_KEEP_TOKENS: "keep_tokens is 0",
    ErrorCode.ZERO_KEEP_HEADS: "keep_heads is 0",
    ErrorCode.ZERO_KEEP_VALUES: "keep_values is 0",
    ErrorCode.PROTECTED_EXCEED_KEEP: "protect_first + protect_last exceeds keep_tokens while tokens are pruned",
    ErrorCode.CAUSAL_GENERATION: "causal is set in a generation job without queries",
    ErrorCode.RESTART_AND_LOAD: "restart and load_ids are both set",
    ErrorCode.SRAM_OVERFLOW: "K and V of a summarisation job's tokens do not fit in the build's sram_tokens × max_dim",
    ErrorCode.MISALIGNED_OUTPUT: "out_base or an output stride is not a multiple of the memory data width",
    ErrorCode.MISALIGNED_IDS_IN: "ids_in is not a multiple of 8",
    ErrorCode.MISALIGNED_IDS_OUT: "ids_out is not a multiple of the memory data width (at least 8)",
    ErrorCode.MISALIGNED_SCORES_IN: "scores_in is not a multiple of 8",
    ErrorCode.MISALIGNED_SCORES_OUT: "scores_out is not a multiple of the memory data width (at least 8)",
    ErrorCode.STRIDE_TOO_LARGE: "a token stride does not fit in 16 bits",
    ErrorCode.RANGE_Q: "the Q plane ends beyond a channel's memory",
    ErrorCode.RANGE_K_MSB: "K's MSB plane ends beyond a channel's memory",
    ErrorCode.RANGE_K_LSB: "K's LSB plane ends beyond a channel's memory",
    ErrorCode.RANGE_V_MSB: "V's MSB plane ends beyond a channel's memory",
    ErrorCode.RANGE_V_LSB: "V's LSB plane ends beyond a channel's memory",
    ErrorCode.RANGE_OUTPUT: "the output plane ends beyond a channel's memory",
    ErrorCode.RANGE_IDS_IN: "the survivors to load end beyond a channel's memory",
    ErrorCode.RANGE_IDS_OUT: "the survivors to store end beyond a channel's memory",
    ErrorCode.RANGE_SCORES_IN: "the importance to load ends beyond a channel's memory",
    ErrorCode.RANGE_SCORES_OUT: "the importance to store ends beyond a channel's memory",
    ErrorCode.RANGE_DESCRIPTOR: "the descriptor's scale table ends beyond a channel's memory",
    ErrorCode.BAD_SCALE: "a bit of the scale table that has no meaning is not 0",
    ErrorCode.MISALIGNED_ROWS: "a base or a stride of Q, K or V is not a multiple of the memory data width",
    ErrorCode.PROMPT_LSB_BY_KEY: "lsb_by_key is set in a summarisation job, where LSBs come once for all queries",
    ErrorCode.NO_LSB_BY_KEY: "lsb_by_key is set, but K has no LSB plane",
    ErrorCode.BAD_MASS_SHARE: "mass_share exceeds 4096 (all of the probabilities)",
    ErrorCode.BAD_GIVE_BACK: "give_back is set, but an out_shift of the scale table is below 4",
    ErrorCode.NO_DECISION_RULES: "mass_share, give_back or lsb_by_key is set, but the build has decision_rules = 0",
    ErrorCode.PROMPT_QUERIES: "queries is set in a summarisation job, where every surviving token is one",
    ErrorCode.QUERIES_EXCEED_TOKENS: "queries exceeds tokens",
    ErrorCode.QUERIES_UNPROTECTED: "tokens are pruned, but protect_last does not cover the tokens that are queries",
    ErrorCode.READ_DESCRIPTOR: "a read of the descriptor was answered with an error",
    ErrorCode.READ_STATE: "a read of survivors or importance was answered with an error",
    ErrorCode.READ_Q: "a read of Q was answered with an error",
    ErrorCode.READ_K: "a read of K was answered with an error",
    ErrorCode.READ_V: "a read of V was answered with an error",
    ErrorCode.BAD_STATE: "the loaded alive tokens or heads do not fit the job",
    ErrorCode.WRITE_OUTPUT: "a write of outputs was answered with an error",
    ErrorCode.WRITE_STATE: "a write of survivors or importance was answered with an error",
    ErrorCode.TIMEOUT: "the job took more cycles than JOB_LIMIT; the accelerator must be reset",
}
