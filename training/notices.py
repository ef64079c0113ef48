"""What a base model's licence wants beside everything that is made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

from foundation.sources.licences import licence_of


def write_notices(base: Path, licence: str | None, target: Path) -> None:
    """Copy the base's licence files into a folder, and write the notice that its licence asks for, where it asks."""
    for path in sorted(base.glob("LICENSE*")):
        shutil.copyfile(path, target / path.name)
    notice = licence_of(licence).notice
    if notice:
        (target / "NOTICE").write_text(f"{notice}\n", encoding="utf-8")
