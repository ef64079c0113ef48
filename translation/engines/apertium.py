"""Apertium: rule-based translation by chained language pairs, from Debian packages unpacked without root.

For gist, never for release: it gives genuine Italian with full lineage on any machine, without a model. Its programs
run as one pipe for each batch; sentences are separated by NUL (the programs' ``-z``), so that none can run into the
next, and the counts are checked. The tools carry a little state from sentence to sentence: a translation depends on
the sentences before it in the batch, and on nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from foundation.sources.debian import DebianPackage, DebianPackages
from translation.engines.engine import EngineChoice, Translation, in_slices
from translation.errors import EngineError

BATCH_SENTENCES = 500
"""Sentences of one pipe. Counts for the translations: the programs carry a little state from sentence to sentence."""
_PREFIX = "/usr/share/apertium"
_RESERVED = re.compile(r"([\\\[\]{}^$/@<>])")
"""Characters of Apertium's stream format, escaped as ``apertium-destxt`` does."""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_MARK = re.compile(r"(?<!\\)[*#@]+(?=[^\s.,;:!?])")
"""``*`` unknown word, ``@`` no translation of a lemma, ``#`` no inflected form."""
_HIDDEN = {"*": "\ue000", "#": "\ue001"}
"""Signs of the text that would read as marks travel as private-use characters."""
_STOP, _BLANK = ".", "[]"
"""What ``apertium-destxt`` puts at a text's end: a full stop that shows the tagger that the sentence is over, and an empty blank."""


def packages_of(pairs: Sequence[str]) -> tuple[str, ...]:
    """Debian packages of a chain of pairs; apt knows what else they need."""
    return ("apertium", *(f"apertium-{pair}" for pair in pairs))


def stage(debian: DebianPackages, cache: Path, pairs: Sequence[str]) -> EngineChoice:
    """Obtain and unpack the packages, once for each set of package files.

    Raises:
        DownloadError: the packages cannot be had (NotStaged where offline forbids fetching them).
        EngineError: a pair has no mode file in its package.
    """
    packages = debian.obtain(debian.closure(packages_of(pairs)))
    digest = hashlib.sha256("\n".join(sorted(package.sha256 for package in packages.values())).encode()).hexdigest()
    root = cache / "engines" / "apertium" / digest[:32]
    if not root.is_dir():
        _unpack(debian, packages, root)
    for pair in pairs:
        pipe(root, [pair])
    named = ", ".join(f"{name} {packages[name].version}" for name in packages_of(pairs) if name.removeprefix("apertium-") in pairs)
    return EngineChoice(
        kind="apertium",
        package=f"{named} sha256:{digest}",
        parameters=(("batch_sentences", BATCH_SENTENCES), ("pairs", " ".join(pairs))),
        deterministic=True,
        independent=False,
        location=str(root),
    )


def pipe(root: Path, pairs: Sequence[str]) -> list[list[str]]:
    """The programs of a chain of pairs with their arguments, each in its NUL mode.

    Raises:
        EngineError: a pair's mode file is missing, or calls a program that is not there.
    """
    commands = []
    for pair in pairs:
        mode = root / _PREFIX.strip("/") / "modes" / f"{pair}.mode"
        if not mode.is_file():
            raise EngineError(f"translation.engine.apertium.pairs: package apertium-{pair} has no mode {pair}; it was looked for at {mode}")
        # $1 decides how unknown words are marked (-g: with a star); $2 is empty in the installed `apertium` script.
        text = mode.read_text(encoding="utf-8").replace("$1", "-g").replace("$2", "")
        for part in text.strip().split("|"):
            program, *arguments = shlex.split(part)
            binary = root / "usr/bin" / program
            if not binary.is_file():
                raise EngineError(f"mode {pair} calls {program}, which is in no package that {list(packages_of(pairs))} need")
            moved = [f"{root}{argument}" if argument.startswith(_PREFIX) else argument for argument in arguments]
            commands.append([str(binary), "-z", *moved])
    return commands


class ApertiumEngine:
    """A staged chain of pairs."""

    def __init__(self, choice: EngineChoice) -> None:
        root = Path(choice.location)
        self._pairs = str(dict(choice.parameters)["pairs"]).split(" ")
        self._commands = pipe(root, self._pairs)
        libraries = sorted(str(path) for folder in ("lib", "usr/lib") for path in root.glob(f"{folder}/*-linux-gnu"))
        self._environment = {"PATH": f"{root}/usr/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(libraries), "LC_ALL": "C.UTF-8"}

    def batches(self, sentences: Sequence[str]) -> list[list[str]]:
        return in_slices(sentences, BATCH_SENTENCES)

    def lengths(self, sentences: Sequence[str]) -> list[int]:
        return [0] * len(sentences)

    def translate(self, sentences: Sequence[str]) -> list[Translation]:
        """Translate a batch in one pipe.

        Raises:
            EngineError: a program failed, or the number of sentences changed on the way.
        """
        if not sentences:
            return []
        output = self._run("".join(f"{_encoded(sentence)}{_STOP}{_BLANK}\0" for sentence in sentences))
        parts = output.split("\0")
        found, rest = parts[: len(sentences)], parts[len(sentences) :]
        if len(found) < len(sentences) or any(rest) or not all(part.endswith(_BLANK) for part in found):
            raise EngineError(f"Apertium gave {len(parts) - 1} parts for {len(sentences)} sentences; the first was {sentences[0]!r}")
        # The stop is gone where the last letters with it are read as an abbreviation ("p.").
        return [_decoded(part.removesuffix(_BLANK).removesuffix(_STOP)) for part in found]

    def _run(self, text: str) -> str:
        """The output of the chained programs; files, not threads, stand at both ends, so that nothing can block."""
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink, tempfile.TemporaryFile() as complaints:
            source.write(text.encode())
            source.seek(0)
            processes: list[subprocess.Popen[bytes]] = []
            for index, command in enumerate(self._commands):
                last = index == len(self._commands) - 1
                processes.append(
                    subprocess.Popen(
                        command,
                        env=self._environment,
                        stdin=processes[-1].stdout if processes else source,
                        stdout=sink if last else subprocess.PIPE,
                        stderr=complaints,
                    )
                )
                if index:
                    before = processes[-2].stdout
                    assert before is not None
                    before.close()  # the next program holds it now, and sees its end
            codes = [process.wait() for process in processes]
            complaints.seek(0)
            sink.seek(0)
            if any(codes):
                # The last one that failed is the cause: those before it only found their reader gone.
                failed = self._commands[max(index for index, code in enumerate(codes) if code)][0]
                raise EngineError(f"{Path(failed).name} failed: {complaints.read().decode(errors='replace').strip()[:300]}")
            return sink.read().decode("utf-8", errors="replace")


def _encoded(sentence: str) -> str:
    """A sentence in Apertium's stream format; NUL cannot occur, and typographic apostrophes are made plain."""
    text = re.sub(r"(?<=\w)’(?=\w)", "'", sentence.replace("\0", " "))
    for sign, hidden in _HIDDEN.items():
        text = text.replace(sign, hidden)
    return _RESERVED.sub(r"\\\1", text)


def _decoded(part: str) -> Translation:
    unknown = sum(any(character.isalpha() for character in word) for word in re.findall(r"(?<!\\)[*#@]+([^\s.,;:!?]+)", part))
    text = _ESCAPED.sub(r"\1", _MARK.sub("", part))
    for sign, hidden in _HIDDEN.items():
        text = text.replace(hidden, sign)
    return Translation(" ".join(text.split()), unknown_words=unknown)


def _unpack(debian: DebianPackages, packages: Mapping[str, DebianPackage], root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    part = root.with_name(f".{root.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        for package in packages.values():
            debian.unpack(package, part)
        part.rename(root)
    except OSError:
        if not root.is_dir():  # another process was not faster: a real fault
            raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
