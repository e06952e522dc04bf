"""The conformance suite: the contracts of plugins as checks that run on any plugin.

>>> from stbench.conformance import check_method
>>> check_method("persistence").passed
True
"""

from stbench.conformance.outcome import Check, Outcome, Status
from stbench.conformance.several import check_methods
from stbench.conformance.subject import SHAPES, Subject
from stbench.conformance.suite import CHECKS, Verdict, check_method, run_check
from stbench.conformance.testing import conformance_tests

__all__ = [
    "CHECKS",
    "SHAPES",
    "Check",
    "Outcome",
    "Status",
    "Subject",
    "Verdict",
    "check_method",
    "check_methods",
    "conformance_tests",
    "run_check",
]
