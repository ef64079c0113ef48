"""datatrove's own recipe for one language, run by the Python of a virtual environment that holds datatrove alone.

Blocks and their order are those of datatrove's examples/fineweb.py, with the language set: WARC reader, Trafilatura,
language filter, Gopher repetition and quality, FineWeb quality, MinHash signatures of what is left. The time-out of
extraction is 20 s instead of 0.1 s, so that no page is lost to the machine's speed; the model of the language filter
is the same file that Transumanza reads.

Prints one JSON object: pages, CPU seconds (children included) and peak memory; writes the addresses of pages that pass
the language filter.
"""

import json
import resource
import sys
import time
from pathlib import Path


def main(warcs: str, output: str, model: str, language: str, stop_words: str, pages_file: str) -> None:
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.extractors import Trafilatura
    from datatrove.pipeline.filters import (
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        LanguageFilter,
    )
    from datatrove.pipeline.readers import WarcReader
    from datatrove.utils import lid

    lid.FT176LID.MODEL_URL = model
    short, tokenizer = language.split(",")
    counted = {"read": 0, "language": 0}
    kept: list[str] = []

    def count(data, rank=0, world_size=1):  # type: ignore[no-untyped-def]
        for document in data:
            counted["read"] += 1
            yield document

    def remember(data, rank=0, world_size=1):  # type: ignore[no-untyped-def]
        for document in data:
            counted["language"] += 1
            kept.append(document.metadata["url"])
            yield document

    pipeline = [
        WarcReader(warcs, glob_pattern="**/*.warc.gz"),
        count,
        Trafilatura(favour_precision=True, timeout=20, deduplicate=False),
        LanguageFilter(languages=[short]),
        remember,
        GopherRepetitionFilter(language=tokenizer),
        GopherQualityFilter(language=tokenizer, stop_words=stop_words.split(",")),
        FineWebQualityFilter(language=tokenizer),
        MinhashDedupSignature(f"{output}/signatures", config=MinhashConfig(), language=tokenizer),
    ]
    wall = time.perf_counter()
    before = _cpu_seconds()
    LocalPipelineExecutor(pipeline, tasks=1, workers=1, logging_dir=f"{output}/logs", skip_completed=False).run()
    seconds = _cpu_seconds() - before
    Path(pages_file).write_text("\n".join(kept), encoding="utf-8")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "pages": counted["read"],
                "language_pages": counted["language"],
                "cpu_seconds": seconds,
                "wall_seconds": time.perf_counter() - wall,
                "peak_bytes": peak,
            }
        )
    )


def _cpu_seconds() -> float:
    """User and system time of this process and of all children that ended."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
