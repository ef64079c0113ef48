"""Where a user's own inputs are: the folder that ``TRANSUMANZA_DATA`` names, else the bundled samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SAMPLES_ROOT = Path(__file__).resolve().parents[2] / "samples"
"""Inputs written for this project, in the layout of a user's folder."""


@dataclass(frozen=True)
class DataFolder:
    """A user's inputs, beside the bundled samples in the same layout."""

    root: Path | None

    @property
    def samples(self) -> Path:
        """The bundled samples."""
        return SAMPLES_ROOT

    @property
    def origin(self) -> Literal["user", "samples"]:
        """Whether a user's folder is set."""
        return "samples" if self.root is None else "user"

    def find(self, pattern: str) -> list[Path]:
        """Files of the user's folder that match a glob pattern, sorted; empty where no folder is set."""
        return [] if self.root is None else sorted(path for path in self.root.glob(pattern) if path.is_file())

    def relative(self, path: Path) -> str:
        """A path as its place in the layout, whichever of the two folders it is in."""
        for folder in (self.root, self.samples):
            if folder is not None and path.absolute().is_relative_to(folder.absolute()):
                return path.absolute().relative_to(folder.absolute()).as_posix()
        for folder in (self.root, self.samples):  # a link inside the folder may lead out of it, and a link may lead in
            if folder is not None and path.resolve().is_relative_to(folder.resolve()):
                return path.resolve().relative_to(folder.resolve()).as_posix()
        return path.name
