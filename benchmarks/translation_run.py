"""One side of the translation benchmark: ``argos`` through argostranslate's own API, or ``ours``; prints one JSON object.

Called by ``benchmarks.translation`` with a JSON document of options. Loading is left out on both sides, and a first short text is
translated before the clock starts. Output tokens are written down by source tokens, as the engine itself gives them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def main() -> None:
    options = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts = json.loads(Path(options["texts"]).read_text(encoding="utf-8"))
    run = _argos if options["side"] == "argos" else _ours
    print(json.dumps(run(texts, options)))


def _timed(work: Callable[[], Any], options: dict[str, Any]) -> dict[str, float]:
    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    if options["meet"]:
        _wait_for_peers(Path(options["meet"]), options["peers"])
    began, cpu = time.monotonic(), spent()
    work()
    ended = time.monotonic()  # one clock for all processes of a machine
    return {"seconds": ended - began, "cpu_seconds": spent() - cpu, "began": began, "ended": ended}


def _wait_for_peers(meet: Path, peers: int) -> None:
    """Until all that measure together have loaded."""
    (meet / str(os.getpid())).touch()
    deadline = time.monotonic() + 300
    while len(list(meet.iterdir())) < peers:
        if time.monotonic() > deadline:
            raise RuntimeError(f"only {len(list(meet.iterdir()))} of {peers} processes were ready after five minutes")
        time.sleep(0.01)


def _recorded(tokens: dict[str, list[str]], translate_batch: Callable[..., Any]) -> Callable[..., Any]:
    """CTranslate2's call, its outputs written down."""

    def call(source: Sequence[Sequence[str]], *arguments: Any, **keywords: Any) -> Any:
        results = translate_batch(source, *arguments, **keywords)
        for line, result in zip(source, results, strict=True):
            tokens[" ".join(line)] = result.hypotheses[0]
        return results

    return call


class _Watched:
    """A translator whose calls are written down."""

    def __init__(self, translator: Any, tokens: dict[str, list[str]]) -> None:
        self._translator = translator
        self.translate_batch = _recorded(tokens, translator.translate_batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._translator, name)


def _argos(texts: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    os.environ["ARGOS_COMPUTE_TYPE"] = options["compute_type"]
    os.environ["ARGOS_DEVICE_TYPE"] = options["device"]
    os.environ["ARGOS_INTRA_THREADS"] = str(options["threads"])
    if options["batch_tokens"] != 32:
        os.environ["ARGOS_BATCH_SIZE"] = str(options["batch_tokens"])
    os.environ["ARGOS_CHUNK_TYPE"] = "SPACY"
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        os.environ[name] = str(Path(options["folder"]) / name)
    # argostranslate looks for a splitter of its own when it is imported, on the network; this folder says that it is there.
    (Path(options["folder"]) / "XDG_CACHE_HOME/argos-translate/spacy/senter/model").mkdir(parents=True, exist_ok=True)
    import argostranslate.package
    import argostranslate.translate

    from foundation.language.sentences import sentence_spans

    rules = _sentence_rules()

    class OurSplitter:
        def split_sentences(self, text: str) -> list[str]:
            return [text[start:end] for start, end in sentence_spans(text, rules)]

    argostranslate.package.install_from_path(Path(options["package"]))
    translation = argostranslate.translate.get_translation_from_codes("en", "it")
    underlying = translation.underlying
    underlying.sentencizer = OurSplitter()
    translation.translate("A first text.")
    tokens: dict[str, list[str]] = {}
    underlying.translator = _Watched(underlying.translator, tokens)
    measured = _timed(lambda: [translation.translate(text) for text in texts], options)
    return {**measured, "tokens": tokens, "output_tokens": sum(len(line) for line in tokens.values())}


def _ours(texts: Sequence[str], options: dict[str, Any]) -> dict[str, Any]:
    from translation.batches import Effort
    from translation.engines import argos, argos_package
    from translation.engines.choice import open_engine
    from translation.engines.transformer import TransformerModel
    from translation.settings import ArgosSettings
    from translation.translate import Translator, translate_texts

    settings = ArgosSettings(compute_type=options["compute_type"], device=options["device"], batch_tokens=options["batch_tokens"])
    package = argos_package.unpack(Path(options["package"]), Path(options["folder"]), "en", "it")
    choice = argos.choice_of(package, settings)
    translator = Translator(choice, _sentence_rules(), cache=Path(options["folder"]) / "cache" if options["cache"] else None)
    engine = open_engine(choice)
    assert isinstance(engine, TransformerModel)
    engine.translate(["A first text."])
    tokens: dict[str, list[str]] = {}
    engine._translator = _Watched(engine._translator, tokens)  # the benchmark looks inside; nothing else does
    effort = Effort()
    measured = _timed(lambda: translate_texts(texts, translator, effort), options)
    return {**measured, "tokens": tokens, "output_tokens": sum(len(line) for line in tokens.values()), "sentences": effort.sentences}


def _sentence_rules() -> Any:
    import yaml

    from foundation.language.sentences import SentenceSettings
    from foundation.settings import PROFILES_ROOT

    document = yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8"))
    return SentenceSettings.model_validate(document["source_sentences"])


if __name__ == "__main__":
    main()
