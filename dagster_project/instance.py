"""Dagster's own state of a profile: its home folder and ``dagster.yaml``.

Belongs here: what the Dagster instance needs before anything runs. Our own state is the store's.
"""

from __future__ import annotations

import os
from pathlib import Path

from foundation.store.builds import replace_atomically

DAGSTER_YAML = """\
# Written by `transumanza env`; yours to edit from here on (it is written once).
telemetry:
  enabled: false
nux: # the pop-up that asks for an e-mail address
  enabled: false
concurrency:
  # No pool has a limit here: a killed run would keep its slot until a daemon frees it. On a GPU box with a daemon:
  # `dagster instance concurrency set gpu 1`, and run_monitoring on.
  runs:
    max_concurrent_runs: 2
run_monitoring:
  enabled: false
python_logs: # never `root`: Dagster then deadlocks on its first SQLite use
  managed_python_loggers: [foundation, corpus, translation, training, dagster_project]
"""


def dagster_home(home: Path, profile: str) -> Path:
    """The Dagster home of a profile, made with its ``dagster.yaml`` where it is missing."""
    folder = home / "dagster" / profile
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "dagster.yaml"
    if not settings.exists():
        replace_atomically(settings, DAGSTER_YAML)
    return folder


def environment_lines(home: Path, profile: str, name: str) -> list[str]:
    """Shell lines that make this environment explicit; for ``eval "$(transumanza env)"``.

    Args:
        home: the home folder.
        profile: how the profile is asked for: its name, or its path.
        name: the profile's own name, which its Dagster home is called by.
    """
    import shlex

    if Path(profile).is_file():
        profile = str(Path(profile).resolve())
    values = {
        "DAGSTER_HOME": str(dagster_home(home, name)),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "TRANSUMANZA_HOME": str(home),
        "TRANSUMANZA_PROFILE": profile,
    }
    for variable in ("TRANSUMANZA_DATA", "TRANSUMANZA_SET", "TRANSUMANZA_STORE"):
        if os.environ.get(variable):
            values[variable] = os.environ[variable]
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
