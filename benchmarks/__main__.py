"""``python -m benchmarks [NAME …]``: run these benchmarks or, with no name, all of them.

A benchmark is a module of this package that has a ``main()``.
"""

import sys
from importlib import import_module
from pkgutil import iter_modules

import benchmarks

found = {
    module.name: benchmark.main
    for module in iter_modules(benchmarks.__path__)
    if module.name != "__main__"
    and hasattr(benchmark := import_module(f"benchmarks.{module.name}"), "main")
}
wanted = sys.argv[1:] or sorted(found)
if unknown := sorted(set(wanted) - set(found)):
    sys.exit(f"No benchmark is called {', '.join(unknown)}; there are: {', '.join(sorted(found))}")
for name in wanted:
    found[name]()
