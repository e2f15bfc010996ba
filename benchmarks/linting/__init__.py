"""What ``benchmarks.lint`` runs inside a generated service."""
