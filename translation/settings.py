"""Settings of the translation workshop: the profile's ``translation:`` section.

Belongs here: every choice of sources, engine, structure and gates, each default with its source. No work is done here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from foundation.settings import Settings, run_key
from foundation.sources.chat_completions import without_credentials
from foundation.sources.locations import RequestSettings

_HUB = re.compile(r"(hf://datasets/[^/@]+/[^/@]+@([0-9a-f]{40}))/(.*[^/])")
"""A dataset of the Hub at a commit, and the files in it."""


class SourceFiles(Settings):
    """One set of chats or instructions: where its files are, what they are called, under which licence."""

    name: str = Field(description="The set's name in every row.", pattern=r"^[A-Za-z0-9._-]+$")
    files: str = Field(
        description="Where its files are: a glob below the user's data folder or the samples, an absolute one, or an address: "
        "hf://datasets/OWNER/NAME@COMMIT/GLOB with the 40 hex digits of a commit, s3://BUCKET/GLOB, https://HOST/FILE. Files of rows end in .jsonl or "
        ".json, plain, .gz or .zst, or in .parquet; a dataset's loading script is never run."
    )
    licence: str = Field(description="SPDX identifier; it goes with every row, and with every translation of it.")
    revision: str | None = Field(None, description="The set's revision; default: the Hub's commit, elsewhere the first 16 hex digits of the file's sha256.")

    @property
    def is_remote(self) -> bool:
        """Whether the files lie behind an address."""
        return "://" in self.files

    @property
    def commit(self) -> str | None:
        """The commit of a dataset of the Hub; None elsewhere."""
        match = _HUB.fullmatch(self.files)
        return None if match is None else match[2]

    @property
    def place(self) -> tuple[str, str]:
        """Where the files lie, a folder or an address ('' is the user's data folder), and the glob below it."""
        if (match := _HUB.fullmatch(self.files)) is not None:
            return match[1], match[3]
        if not self.is_remote and not Path(self.files).expanduser().is_absolute():
            return "", self.files
        fixed = re.split(r"[*?\[]", self.files, maxsplit=1)[0]
        root = fixed[: fixed.rindex("/")]
        return root or "/", self.files[len(root) + 1 :]

    @model_validator(mode="after")
    def _fixed_place(self) -> SourceFiles:
        if self.files.startswith("hf://"):
            if _HUB.fullmatch(self.files) is None:
                raise ValueError(
                    f"{self.files} does not have the form hf://datasets/OWNER/NAME@COMMIT/GLOB, with the 40 hex digits of a commit (a branch moves, and rows "
                    "with it); the dataset's page on the Hub shows commits under 'Files and versions', History"
                )
            if self.revision is not None:
                raise ValueError(f"the commit in {self.files} is the set's revision; leave `revision` out")
        if self.files.startswith(("http://", "https://")) and re.search(r"[*?\[]", self.files):
            raise ValueError(f"{self.files}: files of an HTTP server cannot be listed; name one file, or for the Hub hf://datasets/OWNER/NAME@COMMIT/GLOB")
        if self.is_remote and not re.fullmatch(r"[a-z0-9+.-]+://[^/]+/.*[^/]", self.files):
            raise ValueError(f"{self.files} names no files; an address has the form s3://BUCKET/FOLDER/GLOB")
        return self


class CleaningSettings(Settings):
    """What is mended or left out of the sources before they are translated; each step can be switched off.

    The words and patterns are those of the language file: ``source_cleaning``, ``source_tasks``, ``source_sentences``.
    """

    truecasing: bool = Field(
        True, description="Write capitals at the start of sentences and in the pronoun I: some 5 % of UltraChat has 'Hello. how are you?' (ultrachat_200k's card)."
    )
    citation_marks: bool = Field(True, description="Remove '[42]' from contexts and responses, as the data card of databricks-dolly-15k recommends; not from code.")
    refusals: bool = Field(True, description="Leave out refusals, and answers in which a model speaks of itself ('As an AI language model …').")
    mojibake: bool = Field(True, description="Leave out texts with broken characters ('Ã©', U+FFFD): engines pass them on.")
    language_tasks: bool = Field(True, description="Set aside tasks that only have an answer in the source language: rhymes, spelling, word games.")
    kept_tasks: tuple[str, ...] = Field((), description="Kinds of such tasks (language.source_tasks) that are translated all the same.")
    request_characters: int = Field(400, ge=50, description="Tasks are looked for in the first and last so many characters of a request: what is between is material.")
    cut_chats: bool = Field(True, description="Cut a chat before the first exchange that is to be left out, if an exchange remains; false: leave out the chat.")


class SourcesSettings(Settings):
    """Which English sets are read, and how they are cleaned. The user's folder comes first; the samples where there is nothing else."""

    chats: tuple[SourceFiles, ...] = Field((
        SourceFiles(name="ultrachat", files="chat/ultrachat/*.jsonl", licence="MIT"),
        SourceFiles(name="ultrachat_200k", files="chat/ultrachat_200k/*", licence="MIT"),
        SourceFiles(name="azure-chat-standin", files="chat/standin_azure_*.jsonl", licence="MIT"),
    ), description="Sets of conversations; where none has files, `sample_chats`.")
    instructions: tuple[SourceFiles, ...] = Field((
        SourceFiles(name="databricks-dolly-15k", files="dolly/databricks-dolly-15k*.jsonl", licence="CC-BY-SA-3.0"),
        SourceFiles(name="databricks-dolly-15k", files="dolly/dolly_instr_resp_nocontext.jsonl", licence="CC-BY-SA-3.0"),
        SourceFiles(name="databricks-dolly-15k", files="dolly/dolly_alpaca_prompt_*.jsonl", licence="CC-BY-SA-3.0"),
    ), description="Sets of instructions; where none has files, `sample_instructions`.")
    sample_chats: SourceFiles = SourceFiles(name="transumanza-chats", files="chat/ultrachat_sample.jsonl", licence="CC0-1.0")
    sample_instructions: SourceFiles = SourceFiles(
        name="transumanza-instructions", files="dolly/dolly_sample.jsonl", licence="CC0-1.0"
    )
    max_chats: int | None = Field(None, ge=1, description="Draw this many chats by hash of seed and id; null: all.")
    max_instructions: int | None = Field(None, ge=1, description="Draw this many instructions; null: all.")
    max_characters: int | None = Field(
        24_000,
        ge=100,
        description="Longer instructions are left out, and chats are cut before they pass it; UltraChat's longest message is about 22,600 characters. null: any.",
    )
    cleaning: CleaningSettings = CleaningSettings()
    access: RequestSettings = run_key(RequestSettings(), description="How addresses are read.")
    staged_gb: float = run_key(
        4.0, gt=0, description="`transumanza fetch` brings sets of the Hub up to this size into the cache; larger ones are read from the Hub when they are built."
    )


class DecodingSettings(Settings):
    """How a model of CTranslate2 decodes, and what it runs on."""

    beam_size: int = Field(4, ge=1, description="argostranslate 1.11's default.")
    length_penalty: float = Field(0.2, description="argostranslate 1.11, translate.py.")
    compute_type: Literal["float32", "int8", "int8_float32", "float16", "int8_float16"] = Field(
        "float32", description="float32 gives the same tokens whatever the batch; the others need not, and are recorded as not reproducible."
    )
    max_output_tokens: int = Field(256, ge=16, description="CTranslate2's default, which argostranslate keeps; outputs that reach it are flagged.")
    device: Literal["cpu", "cuda"] = run_key("cpu", description="Where the model runs.")
    batch_tokens: int = run_key(1024, ge=32, description="Tokens in a batch (argostranslate's own 32 is about one sentence); counts where compute_type is not float32.")
    threads: int = run_key(1, ge=1, description="Threads of each worker.")

    @property
    def exact(self) -> bool:
        """Whether tokens depend on the sentence alone."""
        return self.compute_type == "float32" and self.device == "cpu"

    def decoding(self) -> tuple[tuple[str, str | int | float], ...]:
        """The parameters that shape translations."""
        names = ("beam_size", "compute_type", "length_penalty", "max_output_tokens", *(() if self.exact else ("batch_tokens",)))
        return tuple((name, getattr(self, name)) for name in names)

    def running(self) -> tuple[tuple[str, str | int | float], ...]:
        """The parameters that do not."""
        return tuple((name, getattr(self, name)) for name in ("batch_tokens", "device", "threads"))


class ArgosSettings(DecodingSettings):
    """An Argos Translate package: a file, or an address with its sha256. The index of packages gives no checksums."""

    package: Path | None = Field(None, description="Path of an .argosmodel file; 'auto' also looks in <data folder>/argos/.")
    url: str | None = run_key(None, description="Address of an .argosmodel file; needs sha256, which alone counts as content.")
    index: str | None = run_key(None, description="Address of a package index (index.json); the newest package of the pair is taken, and needs sha256.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Pinned sha256 of the package.")

    @model_validator(mode="after")
    def _pinned(self) -> ArgosSettings:
        if (self.url is not None or self.index is not None) and self.sha256 is None:
            raise ValueError("argos.url and argos.index need argos.sha256: the package index holds no checksums, so pin the file's sha256")
        return self


class ConvertedModelSettings(DecodingSettings):
    """A model that CTranslate2's converters made of OPUS-MT or NLLB, its tokenizers copied beside it."""

    path: Path | None = Field(None, description="The converter's output folder; its files count, not where they are.")
    name: str | None = Field(None, description="What rows call the model; default: the folder's name.")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$", description="Of the folder (every file's name and sha256); shown in the statistics of a build.")
    family: Literal["opus-mt", "nllb"] | None = Field(None, description="Null: told by the tokenizers' names, source.spm or sentencepiece.bpe.model.")
    source_language: str = Field("", description="Token before each sentence: eng_Latn for NLLB, >>ita<< for OPUS-MT models of several languages.")
    target_language: str = Field("", description="Token that NLLB's output begins with, such as ita_Latn.")

    @model_validator(mode="after")
    def _languages(self) -> ConvertedModelSettings:
        if self.family == "nllb" and not (self.source_language and self.target_language):
            raise ValueError("ctranslate2.family nllb needs ctranslate2.source_language and target_language, such as eng_Latn and ita_Latn")
        return self


class OpenAISettings(Settings):
    """A server that speaks OpenAI's chat completions: vLLM, llama.cpp, Ollama, or a service."""

    url: str = run_key("http://127.0.0.1:8000/v1", description="The server's base address.")
    model: str | None = Field(None, description="The model's name on the server.")
    revision: str = Field("", description="What tells one state of the model from another; recorded with every row.")
    system_prompt: str = Field(
        "Translate the user's text. Answer with the translation alone. Leave marks such as XQ0Z, {0} and anything that is not prose as they are.",
        description="The instruction before each sentence; the language file gives one that names both languages.",
    )
    temperature: float = Field(0.0, ge=0, description="0: the likeliest token.")
    seed: int = Field(0, ge=0, description="Passed on; servers may heed it.")
    max_output_tokens: int = Field(512, ge=16, description="Answers that reach it are flagged as truncated.")
    concurrency: int = run_key(32, ge=1, description="Requests at a time of each worker.")
    timeout_s: float = run_key(120.0, gt=0, description="Seconds that a request may take.")
    key_variable: str = run_key("OPENAI_API_KEY", description="Environment variable with the server's key; never printed or stored.")

    @field_validator("url")
    @classmethod
    def _no_credentials(cls, value: str) -> str:
        return without_credentials(value)


class ApertiumSettings(Settings):
    """Rule-based translation with Apertium's language pairs, one after the other."""

    pairs: tuple[str, ...] = Field(
        (), description="Debian packages apertium-<pair>, chained; the language file gives them (there is no English-Italian pair)."
    )


class NumberMarks(Settings):
    """The marks in numbers of the target language; the defaults are those of English, and leave numbers as they are."""

    decimal: Literal[".", ","] = Field(".", description="Before the fraction.")
    thousands: Literal[",", ".", "'", "’", "\u00a0", "\u202f"] = Field(",", description="Between groups of three figures.")

    @model_validator(mode="after")
    def _apart(self) -> NumberMarks:
        if self.decimal == self.thousands:
            raise ValueError(f"quantities.decimal and quantities.thousands are both {self.decimal!r}; a number needs two marks that can be told apart")
        return self


class EngineSettings(Settings):
    """Which engine translates."""

    engine: Literal["auto", "argos", "ctranslate2", "openai", "apertium", "identity"] = Field(
        "auto", description="auto: the Argos package of the data folder or of argos.url, else Apertium; the choice is recorded."
    )
    fallback: Literal["identity"] | None = Field(
        None, description="What to use where Apertium's packages cannot be had; null: an error. Said loudly in the statistics."
    )
    source_code: str = Field("en", description="Language of the sources, as the engine's package calls it.")
    target_code: str = Field(
        "und", description="Language of the translations, as the engine's package calls it; the language file gives it ('und' fits no package)."
    )
    max_sentence_characters: int = Field(600, ge=80, description="Longer sentences are cut at clauses: about 150 tokens, below the engine's 256.")
    max_sentence_tokens: int = Field(
        180, ge=16, description="Sentences of more tokens of the engine are cut at clauses until they fit: a translation a third longer stays below max_output_tokens (256)."
    )
    quantities: NumberMarks = Field(
        NumberMarks(), description="Marks in numbers with a unit or currency ('3.5 kg'), which are kept from the engine; the language file gives them."
    )
    argos: ArgosSettings = ArgosSettings()
    ctranslate2: ConvertedModelSettings = ConvertedModelSettings()
    openai: OpenAISettings = OpenAISettings()
    apertium: ApertiumSettings = ApertiumSettings()
    shard_characters: int = Field(
        100_000, ge=1_000, description="Source text that a worker translates at a time: sentences that repeat inside are translated once. A GPU wants more."
    )
    cache: bool = run_key(True, description="Keep translations by sentence below the cache folder, for other builds and after a kill.")


class ChatsSettings(Settings):
    """How chats are translated."""

    min_messages: int = Field(2, ge=2, description="User and assistant messages that must be left for a chat to be kept.")
    translate_system: bool = Field(True, description="Translate system messages; false leaves them out.")


class InstructionsSettings(Settings):
    """How instructions are translated."""

    drop_categories: tuple[str, ...] = Field((), description="Dolly categories left untranslated, counted as dropped.")


Reason = Literal[
    "length_ratio", "language", "untranslated", "source_copy", "compression", "repetition", "numbers", "urls", "code", "placeholders", "protected_spans",
    "lines", "paragraphs", "list_items", "truncated", "score", "round_trip", "answer_left_context", "input_equals_output", "benchmark_overlap",
]  # fmt: skip
"""Every reason a row can be rejected for, in the order in which they are reported."""


class GateSettings(Settings):
    """Thresholds of the gates on rows and on whole sets."""

    min_length_ratio: float = Field(0.6, ge=0, description="Characters, translation to source (Locomotive's source_target_ratio example).")
    max_length_ratio: float = Field(1.8, gt=0, description="Italian runs longer than English; a loop runs longer still.")
    length_min_characters: int = Field(40, ge=1, description="Shorter texts have no meaningful ratio and no reliable language.")
    min_language_score: float = Field(0.5, ge=0, le=1, description="Probability of the target language on text with code removed.")
    max_untranslated_share: float = Field(0.3, ge=0, le=1, description="Words unknown to the engine or in sentences left as they were.")
    untranslated_min_words: int = Field(8, ge=1, description="Shorter texts (names, codes) have no meaningful share.")
    min_compression_ratio: float = Field(
        0.18, ge=0, le=1, description="zlib size to size, on 200 bytes or more (UltraChat-Sinhala, quality report)."
    )
    max_repetition: int = Field(3, ge=1, description="Times that one to four words follow themselves more often than in the source.")
    max_copied_words: int = Field(5, ge=0, description="Words of the longest sentence that came back unchanged: names and titles may.")
    max_numbers_changed: int = Field(0, ge=0, description="Numbers lost or gained; 1,234.5 and 1.234,5 are the same.")
    small_numbers: int = Field(
        -1, ge=-1, description="Whole numbers from 0 to here may come and go, as languages write them out ('5', 'cinque'); their values are then not compared. -1: none may."
    )
    max_urls_changed: int = Field(0, ge=0, description="Addresses of pages and e-mail lost or gained.")
    max_code_changed: int = Field(0, ge=0, description="Code, formulas, names of programs and HTML tags lost or gained.")
    max_placeholders_changed: int = Field(0, ge=0, description="Placeholders ({name}, [Name], %s) lost or gained.")
    max_spans_lost: int = Field(0, ge=0, description="Sentences kept in the source language since the engine lost a protected span.")
    max_lines_changed: int = Field(0, ge=0, description="Difference in the number of lines that hold something.")
    max_paragraphs_changed: int = Field(0, ge=0, description="Difference in the number of paragraphs.")
    max_list_items_changed: int = Field(0, ge=0, description="Difference in the number of list items.")
    max_truncated_sentences: int = Field(0, ge=0, description="Sentences cut at the engine's limit, or left as they were for being longer than it takes.")
    min_score: float = Field(
        -3.0, le=0, description="Lowest mean log-probability per token of a sentence; at -3 the engine gives each token one chance in twenty. This project's, loose."
    )
    round_trip: EngineSettings | None = Field(
        None, description="An engine of the other direction: translations go back through it, and chrF compares them with the source. null: no round trip; it costs as much as translating."
    )
    min_round_trip_chrf: float = Field(30.0, ge=0, le=100, description="chrF of the round trip; this project's, to be set by `transumanza translate report`.")
    min_answer_in_context: float = Field(
        0.6, ge=0, le=1, description="Where the answer is a quotation of the context: share of its words that the translated context holds."
    )
    drop_input_equals_output: bool = Field(True, description="Reject rows whose translated answer equals its input while the source's does not: engines correct errors made on purpose.")
    drop_benchmark_overlap: bool = Field(True, description="Reject rows that hold text of a benchmark's test items.")
    benchmark_ngram: int = Field(13, ge=3, description="Words of an overlap with a benchmark (Brown et al. 2020, appendix C: 13).")
    min_kept_share: float = Field(0.7, ge=0, le=1, description="Gate on the set: rows kept of rows read.")
    max_reason_shares: dict[Reason, Annotated[float, Field(ge=0, le=1)]] = Field(
        {"repetition": 0.05, "compression": 0.05, "truncated": 0.05, "protected_spans": 0.1, "code": 0.05, "paragraphs": 0.05, "list_items": 0.05},
        description="Gate on the set: share of rows read that each reason may reject. These are faults of the engine and of how it is fed, not of hard texts.",
    )
    min_target_share: float = Field(0.9, ge=0, le=1, description="Gate on the set: kept rows whose language is the target.")


class ParallelSet(Settings):
    """Sentences with a translation by people, for scores; below TRANSUMANZA_DATA."""

    name: str = Field(description="What reports call it.", pattern=r"^[A-Za-z0-9._-]+$")
    source: str = Field(description="The file of sources, one a line; or a table with tabs, where no `target` is named.")
    target: str | None = Field(None, description="The file of references, line by line.")
    columns: tuple[int, int] = Field((0, 1), description="Columns of source and reference in a table, counted from 0.")
    licence: str = Field("not stated", description="SPDX identifier; such sets are test sets, and never trained on.")


class QualitySettings(Settings):
    """What `transumanza translate report` scores an engine on; no asset reads it."""

    sets: tuple[ParallelSet, ...] = Field((), description="Parallel sets; those whose files are not there are named as missing. The language file gives some.")
    samples: int = Field(50, ge=0, description="Rows of the review sheet.")


class TranslationSettings(Settings):
    """The profile's ``translation:`` section."""

    sources: SourcesSettings = SourcesSettings()
    engine: EngineSettings = EngineSettings()
    chats: ChatsSettings = ChatsSettings()
    instructions: InstructionsSettings = InstructionsSettings()
    gates: GateSettings = GateSettings()
    quality: QualitySettings = QualitySettings()
