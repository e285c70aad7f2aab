"""The front end: a user's arrays and options, checked and quantised, and schedules of pruning.

May import: config, errors, host, interface, user_text.
"""

from .workload import TOKEN_SCORE_UNIT, Workload, check_build, make_workload, read_workload

__all__ = ["TOKEN_SCORE_UNIT", "Workload", "check_build", "make_workload", "read_workload"]
