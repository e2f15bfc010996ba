"""Measures the generated service beside its peers. Ratios of one run; the tests check no speed."""
