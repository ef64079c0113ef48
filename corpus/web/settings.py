"""Settings of the web corpus workshop: the profile section ``corpus.web``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from foundation.settings import PROFILES_ROOT, DataFile, ReferencedFile, Settings
from foundation.sources.locations import AccessSettings


class SamplePackage(Settings):
    """One Debian package of HTML pages that a sample crawl takes pages from."""

    name: str = Field(description="Debian's name of the package.")
    language: str = Field(description="ISO 639-3, as the crawl's index will say.", pattern=r"^[a-z]{3}$")
    licence: str = Field(description="SPDX expression, from the package's copyright file.")
    pages: int = Field(10_000, ge=1, description="At most this many pages, drawn by a hash of snapshot and path.")
    min_bytes: int = Field(0, ge=0, description="Shorter HTML files are left out.")
    hosts: int = Field(8, ge=1, le=24, description="Registered domains that the pages are spread over.")


class SampleSettings(Settings):
    """What a made crawl (``SAMPLE-YYYY-MM``) holds: real pages, made hosts, and damage as crawls have it."""

    packages: tuple[SamplePackage, ...] = Field(
        (), description="Some 2.5 % of pages should be in the target language, as in Common Crawl (statistics of CC-MAIN-2024-42)."
    )
    warc_files: int = Field(12, ge=1, description="WARC files; each is one shard of work.")
    copy_share: float = Field(0.01, ge=0, le=1, description="Pages captured twice: the same record again.")
    mirror_share: float = Field(0.03, ge=0, le=1, description="Pages found again, byte for byte, at another domain.")
    broken_share: float = Field(0.03, ge=0, le=1, description="Pages made broken, in equal parts of six kinds; see sample.py.")
    opt_out_share: float = Field(0.03, ge=0, le=1, description="At most this share of each language's pages is opted out, by robots.txt or tdmrep.json of a few hosts.")


class SelectionSettings(Settings):
    """Which part of a Common Crawl crawl is read, and how."""

    way: Literal["index", "scan"] = Field(
        "index",
        description="index: the crawl's columnar index names the records, and only they are fetched; scan: whole files are read. "
        "Made crawls and folders of the user's are always scanned.",
    )
    files: Literal["warc", "wet"] = Field("warc", description="For way scan: archived pages, or Common Crawl's own extracted text (no HTML, so no rights).")
    languages: tuple[str, ...] = Field((), description="ISO 639-3 codes of `content_languages`; the language file gives its own.")
    primary_language: bool = Field(True, description="Only pages whose first language is one of them; else any of the up to three.")
    mime_types: tuple[str, ...] = Field(("text/html", "application/xhtml+xml"), description="Values of `content_mime_detected`.")
    truncated: bool = Field(False, description="Also pages that the crawler cut (at 1 MiB, until 2025).")
    share: float = Field(1.0, gt=0, le=1, description="Share of what would be read, drawn by a hash: of records (index), of files (scan).")
    max_files: int | None = Field(None, ge=1, description="For way scan: at most this many files, the first by that hash.")
    only_domains: ReferencedFile | None = Field(None, description="A file of registered domains, one a line: only their pages.")
    without_domains: ReferencedFile | None = Field(None, description="A file of registered domains, one a line: none of their pages.")
    robots: bool = Field(True, description="Also the crawl's robots.txt captures of the hosts: evidence for the rights columns.")


class ReadyCorpus(Settings):
    """A corpus that is text already: clean_mc4_it, C4, FineWeb-2, or any files of JSON lines or Parquet with a column map."""

    location: str = Field(
        description="A folder (below TRANSUMANZA_DATA or absolute), or any fsspec URL. Of the Hub: hf://datasets/OWNER/NAME@REVISION/FOLDER, "
        "with the 40 hex digits of a commit as revision.",
    )
    files: str = Field("**", description="Glob below the location; names end in .parquet, or in .json or .jsonl, plain, .gz or .zst.")
    text: str = Field("text", description="Column of the text; dots lead into nested objects, here and below.")
    url: str | None = Field("url", description="Column of the address; null where there is none.")
    fetched: str | None = Field("timestamp", description="Column of the time of capture: ISO 8601, a timestamp or a date, UTC where no zone is named; null where there is none.")
    licence: str | None = Field(None, description="SPDX id for every row, where the corpus states one for its texts.")
    max_rows: int | None = Field(None, ge=1, description="At most the first this many rows of each file.")


class SnapshotSettings(Settings):
    """Where a snapshot's pages come from."""

    source: Literal["auto", "debian", "bundled", "folder"] = Field(
        "auto",
        description="Of a snapshot named SAMPLE-YYYY-MM. debian: a crawl made of packages and the bundled pages; bundled: of pages in "
        "samples/web alone; auto: debian where packages are named, and apt is at hand or they are cached; else bundled (recorded in "
        "the build). Snapshots named CC-MAIN-YYYY-WW are Common Crawl's, names in `corpora` are ready corpora. folder: any name, WARC "
        "files of the user's.",
    )
    folder: str = Field("crawl", description="For source folder: below TRANSUMANZA_DATA, or an absolute path; holds *.warc.gz.")
    sample: SampleSettings = SampleSettings()
    selection: SelectionSettings = SelectionSettings()
    corpora: dict[str, ReadyCorpus] = Field({}, description="Ready corpora, by the name of the snapshot that each becomes.")


class DocumentSettings(Settings):
    """How pages become candidates and candidates documents."""

    gate_characters: int = Field(1_000, ge=100, description="Language is first judged on this much text: same label on 99.7 % of pages, 9x faster.")
    gate_score: float = Field(0.2, ge=0, le=1, description="A page is a candidate where the target language scores this among the three best.")
    min_gate_characters: int = Field(20, ge=0, description="Pages with less visible text say nothing about their language.")
    extractor: Literal["trafilatura", "resiliparse"] = Field(
        "trafilatura", description="resiliparse is some ten times faster and less precise (F1 0.85 against 0.91 on trafilatura's own evaluation)."
    )
    favour_precision: bool = Field(True, description="trafilatura's precision mode, as in FineWeb-2.")
    max_html_bytes: int = Field(
        6_000_000, ge=1, description="Larger pages are counted and skipped: extractors may not end on them (trafilatura #704). Common Crawl cuts pages at 5 MiB."
    )
    max_tags: int = Field(100_000, ge=1, description="Pages with more tags are counted and skipped, for the same reason.")
    max_attributes: int = Field(2_000, ge=1, description="Pages with more attributes on one tag are counted and skipped, for the same reason.")
    max_depth: int = Field(1_000, ge=1, description="Pages whose tags nest deeper are counted and skipped: parsers recurse.")
    max_undecodable_share: float = Field(0.01, ge=0, le=1, description="Share of characters that no charset gave, above which a page is skipped.")
    scores_kept: int = Field(3, ge=1, description="Language labels kept with each document.")
    max_damaged_share: float = Field(
        0.05, ge=0, le=1, description="Gate: share of records, and of bytes, lost to damage; the sample crawl has some 0.5 % of either."
    )


class ClassifierSettings(Settings):
    """A fastText classifier: of quality, topic, register."""

    name: str = Field(description="Rules read its score as `classifier:NAME`.", pattern=r"^[a-z0-9][a-z0-9_-]*$")
    path: DataFile | None = Field(None, description="The model's file: below TRANSUMANZA_DATA, or absolute.")
    url: str | None = Field(None, description="Or where it is fetched from: any address that fsspec knows.")
    sha256: str = Field(description="Of the model's file.", pattern=r"^[0-9a-f]{64}$")
    label: str = Field(description="The label whose probability is the score, without fastText's prefix.")

    @model_validator(mode="after")
    def _one_place(self) -> ClassifierSettings:
        if (self.path is None) == (self.url is None):
            raise ValueError(f"classifier {self.name}: name either path or url")
        return self


class PinnedWordList(Settings):
    """A word list that is fetched."""

    url: str = Field(description="Any address that fsspec knows.")
    sha256: str = Field(description="Of the file.", pattern=r"^[0-9a-f]{64}$")


WordList = Annotated[
    Annotated[PinnedWordList, Tag("fetched")] | Annotated[DataFile, Tag("path")],
    Discriminator(lambda value: "fetched" if isinstance(value, Mapping | PinnedWordList) else "path"),
]


class SignalSettings(Settings):
    """How signals are computed; FineWeb-2's definitions, which its thresholds belong to."""

    short_line_characters: int = Field(30, ge=1, description="A line up to this long counts as short (FineWeb, short_line_length).")
    word_lists: dict[str, WordList] = Field(
        {},
        description="Lists of bad words by name, one word a line, lines that begin with `#` before the first word left out: a file of profiles/, "
        "else below TRANSUMANZA_DATA, or absolute; or {url, sha256}; null: without this list, where the language file names it. Hits are "
        "counted by list and word.",
    )
    classifiers: tuple[ClassifierSettings, ...] = Field((), description="fastText models; each gives a score for every document.")
    shingle_words: int = Field(5, ge=1, description="Words per MinHash shingle (FineWeb-2).")
    permutations: int = Field(112, ge=1, description="14 bands of 8 (FineWeb-2); a multiple of the rows per band.")
    band_rows: int = Field(8, ge=1, description="Signature values per band.")
    minhash_seed: int = Field(1, ge=0, description="Seed of the permutations; other seeds make signatures that cannot be compared.")

    @field_validator("word_lists", mode="before")
    @classmethod
    def _named(cls, lists: Any) -> Any:
        """Without those that are null; files of the project where they are."""
        if not isinstance(lists, Mapping):
            return lists
        named = {name: place for name, place in lists.items() if place is not None}
        return {name: _of_profiles(place) if isinstance(place, str | PurePath) else place for name, place in named.items()}


def _of_profiles(path: str | PurePath) -> str | PurePath:
    return PROFILES_ROOT / path if (PROFILES_ROOT / path).is_file() else path



class DecisionSettings(Settings):
    """Which rules judge, and how benchmark overlap is looked for."""

    rights: Literal["general", "research"] = Field(
        "general",
        description="general: pages that opt out of text and data mining or of training are dropped (article 4 of directive (EU) 2019/790); "
        "research: opt-outs are recorded only (article 3, for research organisations).",
    )
    rules: ReferencedFile = Field("rules/transumanza.yaml", description="A rule file; see profiles/rules.")  # type: ignore[assignment]
    overlap_words: int = Field(13, ge=3, description="Words in a row shared with a benchmark item (GPT-3's 13-gram test, Brown et al. 2020, appendix C).")
    min_item_words: int = Field(8, ge=3, description="Shorter benchmark items are looked for whole down to this length; below, they are not.")
    max_signal_drift: float = Field(
        0.25, gt=0, description="Gate: population stability index of any signal against the last decisions that passed, of this snapshot or the "
        "one before it. Above 0.25 the population is another one (Siddiqi 2006, chapter 6).",
    )


class DuplicateSettings(Settings):
    """When two documents are near duplicates."""

    min_similarity: float = Field(0.72, gt=0, le=1, description="Share of equal signature values: (1/14)^(1/8), where 14 x 8 bands have their threshold.")
    max_bucket: int = Field(1_000, ge=2, description="In larger buckets documents are compared with their neighbours in sorted order only; see duplicates/links.py.")
    neighbours: int = Field(8, ge=1, description="So many neighbours, in each of the sorted orders.")
    max_duplicate_share: float = Field(
        0.9, ge=0, le=1, description="Gate: share of documents beside the first of their cluster. Up to 0.9 was seen over 96 crawls (FineWeb, "
        "Penedo et al. 2024, section 3.4); more says that something was read twice.",
    )


class PersonalDataSettings(Settings):
    """What is replaced, and by what."""

    mode: Literal["placeholders", "surrogates"] = Field(
        "placeholders",
        description="placeholders: <EMAIL> and the like; surrogates: values of the same form that belong to nobody, the same for the same value, "
        "keyed by the environment variable TRANSUMANZA_PII_SECRET.",
    )
    kinds: tuple[Literal["email", "ipv4", "ipv6", "iban", "codice_fiscale", "partita_iva", "phone"], ...] = Field(
        ("email", "ipv4", "ipv6", "iban", "phone"),
        description="Kinds looked for; where two claim the same characters the earlier one has them. The language file adds those of its country.",
    )
    phone_region: str | None = Field(
        None, description="Region that numbers without a country code belong to (the language file gives it); null: only numbers with one."
    )
    phone_words: tuple[str, ...] = Field(
        (), description="A number without + or 00 counts only after one of these words: version and part numbers look alike."
    )
    vat_words: tuple[str, ...] = Field((), description="1 % of random 11-digit strings pass the check digit, so that one of these words must precede.")
    version_words: tuple[str, ...] = Field((), description="Words before numbers of versions and chapters: four numbers after one are no IPv4 address.")


class CleanSettings(Settings):
    """What is published."""

    overlap: Literal["drop", "cut"] = Field("drop", description="What happens to a document that shares text with a benchmark: all of it goes, or the stretch alone.")
    personal_data: PersonalDataSettings = PersonalDataSettings()
    retain_dropped_text: Literal["none", "hash", "all"] = Field(
        "hash",
        description="What the ledger keeps of a dropped document's text: nothing; its sha256, by which it is known again; or the text itself, "
        "personal data replaced.",
    )
    rehydration: ReferencedFile | dict[int, int] | None = Field(
        None,
        description="How often a document is to be repeated in training, by the size of its cluster, as the column `repetitions`: a file of "
        "profiles/rehydration (FineWeb-2's weights), or repetitions by least cluster size; null: 1 for all.",
    )
    validation_share: float = Field(0.1, gt=0, lt=1, description="Share of registered domains held out.")
    min_language_share: float = Field(0.95, ge=0, le=1, description="Gate: share of published documents identified as the target language.")


class ReplaySettings(Settings):
    """Source-language pages, mixed in so that the adapted model does not forget."""

    corpus: ReadyCorpus | None = Field(
        None, description="A ready corpus of the source language; null: pages of the snapshots whose files lie in the store."
    )
    documents: int = Field(80, ge=2, description="At most this many pages, drawn by a hash of their URLs.")
    language: str = Field("eng", description="ISO 639-3, as the crawl's index says.")
    min_characters: int = Field(500, ge=0, description="Shorter texts are left out.")
    min_language_score: float = Field(0.65, ge=0, le=1, description="fastText's score of the source language (FineWeb).")
    validation_share: float = Field(0.2, gt=0, lt=1, description="Share of registered domains held out.")


class EvaluationPackage(Settings):
    """A Debian package whose pages are only ever evaluated on."""

    name: str = Field(description="Debian's name of the package.")
    licence: str = Field(description="SPDX expression, from the package's copyright file.")


class EvaluationTextSettings(Settings):
    """Text of sources never trained on, to measure both languages before and after."""

    source: Literal["auto", "debian", "bundled"] = Field("auto", description="As for snapshots.")
    target_packages: tuple[EvaluationPackage, ...] = Field((), description="Native text; none of these may be in a sample crawl.")
    source_packages: tuple[EvaluationPackage, ...] = Field((), description="Text of the source language, best of the same kind.")
    target_file: str = Field(
        "evalita/kind-nermud/evalita-2023/WN_test.tsv",
        description="Native text of the user's folder that takes the place of the target packages: NERMuD's Wikinews, token<TAB>label.",
    )
    documents: int = Field(10, ge=1, description="Documents per language.")
    document_characters: int = Field(2_500, ge=100, description="Each document is cut at a line end near this length.")


class WebSettings(Settings):
    """The section ``corpus.web``."""

    access: AccessSettings = AccessSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    documents: DocumentSettings = DocumentSettings()
    signals: SignalSettings = SignalSettings()
    decisions: DecisionSettings = DecisionSettings()
    duplicates: DuplicateSettings = DuplicateSettings()
    clean: CleanSettings = CleanSettings()
    replay: ReplaySettings = ReplaySettings()
    evaluation_text: EvaluationTextSettings = EvaluationTextSettings()
