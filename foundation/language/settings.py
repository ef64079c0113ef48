"""The language file: all that is known of the target language, in one YAML file under ``profiles/languages``.

Another language is another file. The sub-sections count one by one in the fingerprints of the stages that read them, so
that a changed stop word does not retrain a model whose text did not change.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from foundation.language.identification import IdentificationSettings
from foundation.language.sentences import SentenceSettings
from foundation.language.source_language import SourceCleaning, SourceTasks
from foundation.settings import Settings, run_key


class WordSettings(Settings):
    """How words are told apart."""

    tokenizer: str = Field(description="spaCy's code of the blank tokenizer, for instance 'it'.")
    stop_words: tuple[str, ...] = Field(description="Frequent function words, lower case; a page of real prose holds several.")


class PhraseSettings(Settings):
    """Phrases and marks by which lines are told: boilerplate, ends of prose, sentences."""

    policy: dict[str, tuple[str, ...]] = Field(description="Lower-case phrases of cookie and privacy notices, by language.")
    placeholder: tuple[str, ...] = Field(("lorem ipsum",), description="Filler text of page templates.")
    end_marks: tuple[Annotated[str, StringConstraints(min_length=1, max_length=1)], ...] = Field(description="Characters that end a sentence of prose.")
    sentences: SentenceSettings = Field(SentenceSettings(), description="What a full stop does not end; sentences of lines are counted by it.")


class TemplateSettings(Settings):
    """Prompt templates of the training workshop; byte-exact, with their source in the file's comments."""

    instruction_with_input: str = Field(description="Prompt of an instruction with material, up to where the answer begins; holds {instruction} and {input}.")
    instruction_without_input: str = Field(description="The same without material; holds {instruction}.")
    system_prompt: str = Field("", description="What conversations without one of their own open with, where `training.chat.system_prompt` is language.")


class MentionNames(Settings):
    """Names as running text writes them: a straight apostrophe stands for the typographic one too, a space for any white space."""

    places: tuple[str, ...] = Field((), description="Countries, regions, cities.")
    institutions: tuple[str, ...] = Field((), description="Authorities, parliaments, courts, universities, associations, newspapers.")

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names of every kind."""
        return (*self.places, *self.institutions)


class MentionSettings(Settings):
    """Places and institutions by which the corpus report tells texts of the language's countries from texts about elsewhere."""

    target: MentionNames = MentionNames()
    foreign: MentionNames = MentionNames()

    @model_validator(mode="after")
    def _tell_apart(self) -> MentionSettings:
        names = (*self.target.all_names, *self.foreign.all_names)
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated} are named twice; name each once, on one side")
        odd = [name for name in names if name != " ".join(name.split()) or not name or "’" in name]
        if odd:
            raise ValueError(f"{odd} cannot be looked for; write names with single spaces and straight apostrophes")
        return self


class LanguageSettings(Settings):
    """One language file."""

    code: str = Field(description="ISO 639-3, as Common Crawl's index writes it.", pattern=r"^[a-z]{3}$")
    short_code: str = Field(description="ISO 639-1, as translation engines write it.", pattern=r"^[a-z]{2}$")
    name: str = Field(description="In English, as reports and cards write it.")
    native_name: str = Field(description="In the language itself; for readers of the file.")
    identification: IdentificationSettings
    words: WordSettings
    phrases: PhraseSettings
    templates: TemplateSettings
    source_sentences: SentenceSettings = Field(SentenceSettings(), description="Sentence ends of the source language of translations.")
    source_cleaning: SourceCleaning = Field(SourceCleaning(), description="Words and phrases by which texts in the source language are cleaned.")
    source_tasks: SourceTasks = Field(SourceTasks({}), description="Regular expressions, by kind, of tasks that only have an answer in the source language: rhymes, spelling, puns. Kinds are tried in the file's order.")
    prompts: tuple[str, ...] = Field((), description="Fixed prompts answered by every model, to read before and after.")
    # A run key: reports alone read it, and they are no assets. Stages that read the whole language file must not grow stale by it.
    mentions: MentionSettings = run_key(MentionSettings(), description="Names that the corpus report counts; no row of any asset depends on them.")
    defaults: dict[str, Any] = run_key(
        {}, description="Values of a profile that follow from the language; they count in the sections that they fill, not here."
    )
