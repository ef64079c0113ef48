"""datatrove's quality filters with FineWeb-2's thresholds for Italian, run by the Python of a virtual environment that holds it.

The first ``met`` texts are left out; meeting them would change nothing, since spaCy keeps no words in a memory zone. Every filter judges every document, each as it comes (they share no words). What C4 says of its marks and phrases is set to
what Transumanza's rules read, so that the same rule is compared: four end marks, policy phrases, longest word.

Prints one JSON object: CPU seconds by filter; writes for each document and filter the reason for dropping it, or null.
"""

import json
import sys
import time
from pathlib import Path


def main(texts_file: str, met: str, thresholds_file: str, results_file: str) -> None:
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
        c4_filters,
    )

    given = json.loads(Path(thresholds_file).read_text(encoding="utf-8"))
    c4_filters.END_PUNCTUATION = tuple(given["end_marks"])
    c4_filters.POLICY_SUBSTRINGS = given["policy"]
    language = given["language"]
    filters = {
        "gopher_repetition": GopherRepetitionFilter(
            dup_line_frac=0.246, dup_para_frac=0, dup_line_char_frac=0, dup_para_char_frac=0,
            top_n_grams=((2, 0.198), (3, 0.156), (4, 0.133)),
            dup_n_grams=((5, 0.144), (6, 0.136), (7, 0.127), (8, 0.118), (9, 0.109), (10, 0.1)),
            language=language,
        ),
        "fineweb_quality": FineWebQualityFilter(line_punct_thr=0.025, short_line_thr=999, char_duplicates_ratio=0.1, new_line_ratio=0.2, language=language),
        "gopher_quality": GopherQualityFilter(
            min_avg_word_length=3, max_avg_word_length=21, max_non_alpha_words_ratio=0.807, stop_words=given["stop_words"], language=language
        ),
        "c4_quality": C4QualityFilter(max_word_length=given["longest_word"], language=language),
    }  # fmt: skip
    texts = [json.loads(line) for line in Path(texts_file).read_text(encoding="utf-8").splitlines()][int(met) :]
    for block in filters.values():  # loading spaCy is a fixed cost, and left out on both sides
        block.filter(Document(text=given["warm_up"], id="warm up"))
    seconds, reasons = {}, {}
    for name, block in filters.items():
        documents = [Document(text=text, id=str(place)) for place, text in enumerate(texts)]
        begun = time.process_time()
        found = [block.filter(document) for document in documents]
        seconds[name] = time.process_time() - begun
        reasons[name] = [None if result is True else result[1] for result in found]
    Path(results_file).write_text(json.dumps(reasons), encoding="utf-8")
    print(json.dumps({"cpu_seconds": seconds, "documents": len(texts)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
