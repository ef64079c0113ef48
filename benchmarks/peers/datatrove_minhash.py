"""datatrove's MinHash, stages 1 to 3, run by the Python of a virtual environment that holds datatrove alone.

Its defaults, which are FineWeb-2's: 5 words, 14 buckets of 8, 64-bit xxhash. Stages are called one after another in this
process, without its executor, whose start would count against it. Prints one JSON object: CPU seconds of the signatures and
of the two stages after them, and the clusters.
"""

import json
import resource
import struct
import sys
from pathlib import Path


def main(source: str, output: str, language: str) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from loguru import logger

    logger.remove()
    config = MinhashConfig()
    texts = [json.loads(line) for line in Path(source).read_text(encoding="utf-8").splitlines()]
    documents = [Document(text, str(place)) for place, text in enumerate(texts)]
    stage = MinhashDedupSignature(f"{output}/signatures", config=config, language=language)
    stage.get_shingles("una frase che carica il tokenizer prima della misura")
    before = _cpu_seconds()
    stage.run(iter(documents), 0, 1)
    signatures = _cpu_seconds() - before
    before = _cpu_seconds()
    buckets = MinhashDedupBuckets(f"{output}/signatures", f"{output}/buckets", config=config)
    for rank in range(config.num_buckets):
        buckets.run(None, rank, config.num_buckets)
    MinhashDedupCluster(f"{output}/buckets", f"{output}/clusters", config=config, save_cluster_id=True).run(None, 0, 1)
    clustering = _cpu_seconds() - before
    found = [-1] * len(texts)
    for path in Path(f"{output}/clusters").glob("*.clusters"):
        for place, number in struct.iter_unpack("<II", path.read_bytes()):
            found[place] = number
    print(json.dumps({"signature_seconds": signatures, "cluster_seconds": clustering, "clusters": found}))


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
