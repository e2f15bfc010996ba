"""The service's tests, each on a real database."""
