"""timetrial's harness: runs training algorithms against the clock."""

__version__ = "0.1.0"
