"""The service's package; its parts are described in README.md, under "Layout"."""

TITLE = {{ cookiecutter.__project_name_literal }}
