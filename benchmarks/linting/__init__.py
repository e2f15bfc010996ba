"""The part of ``benchmarks.lint`` that runs inside a generated service."""
