"""How the service tells what it does: logs.

Belongs here: what observes and never acts. May import: nothing of the service. Imported by:
everything above.
"""
