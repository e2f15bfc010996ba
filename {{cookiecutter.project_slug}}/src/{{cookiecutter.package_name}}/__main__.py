"""Lets ``python -m {{ cookiecutter.package_name }}`` stand in for the installed command."""

from .cli import main

main()
