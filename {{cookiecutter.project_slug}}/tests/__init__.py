"""The service's tests, on a real database each."""
