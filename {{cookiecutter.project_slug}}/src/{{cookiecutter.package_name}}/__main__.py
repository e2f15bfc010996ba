"""Lets ``python -m {{ cookiecutter.package_name }}`` replace the installed command."""

from .cli import main

main()
