"""Compares the generated service with its peers. Read ratios of one run; tests check no speed."""
