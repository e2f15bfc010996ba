"""Register, confirm an address, sign in, change a password."""
