"""The module that Dagster loads: ``dagster … -m dagster_project.definitions``."""

from dagster_project.build import build_defs

defs = build_defs()
