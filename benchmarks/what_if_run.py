"""One side of the what-if benchmark: a built snapshot judged by other rules, in a process that did nothing else yet.

Prints one JSON object: seconds of importing, of the first call and of one more; seconds of a call are those of everything that the
command does, from the references in the store and the rule file to the difference.
"""

from __future__ import annotations

import json
import sys
import time

BEGUN = time.perf_counter()

from pathlib import Path  # noqa: E402

import yaml  # noqa: E402

from benchmarks.harvest_run import CRAWL, PROFILE  # noqa: E402
from corpus.web.rules import load_rules  # noqa: E402
from corpus.web.what_if import WhatIf, what_if  # noqa: E402
from foundation.language.settings import LanguageSettings  # noqa: E402
from foundation.settings import PROFILES_ROOT  # noqa: E402
from foundation.store import Store  # noqa: E402

IMPORTED = time.perf_counter() - BEGUN


def main(home: str, rules: str) -> None:
    """Judge twice, and say how long either took."""
    language = LanguageSettings(**yaml.safe_load((PROFILES_ROOT / "languages" / "ita.yaml").read_text(encoding="utf-8")))
    seconds = []
    for _ in range(2):
        load_rules.cache_clear()
        begun = time.perf_counter()
        result = judged(Path(home), PROFILES_ROOT / "rules" / f"{rules}.yaml", language)
        seconds.append(time.perf_counter() - begun)
    counts = {"documents": result.documents, "passing_before": result.passing_before, "passing_after": result.passing_after}
    print(json.dumps({"import_seconds": IMPORTED, "first_seconds": seconds[0], "next_seconds": seconds[1], **counts}))


def judged(home: Path, rules: Path, language: LanguageSettings) -> WhatIf:
    """The difference that rules make on the benchmark's snapshot."""
    store = Store(home / "store")
    documents, signals, decisions = (store.resolve(asset, CRAWL, ref=PROFILE) for asset in ("documents", "signals", "decisions"))
    return what_if(documents, signals, decisions, load_rules(rules), "general", language.identification)


if __name__ == "__main__":
    main(*sys.argv[1:])
