"""Bad words, policy phrases, mojibake and classifier scores: what is found, where, and what is said where nothing can be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from corpus.web.bad_words import BadWordFinder, BadWords, WordHits, read_word_list
from corpus.web.classifiers import resolve_classifiers
from corpus.web.errors import WebCorpusError
from corpus.web.judging import columns_for, judge
from corpus.web.rules import RuleSet, load_rules
from corpus.web.settings import ClassifierSettings, SignalSettings, WebSettings
from corpus.web.signal_inputs import files, word_lists
from corpus.web.signals import SignalRun, make_meter, signal_table
from corpus.web.stages import stages
from corpus.web.vocabulary import RUN
from dagster_project.profile import load_profile
from foundation.language.mojibake import mojibake
from foundation.language.settings import LanguageSettings
from foundation.settings import PROFILES_ROOT, content_of, file_sha256
from foundation.sources.data import DataFolder
from foundation.sources.downloads import DownloadError, Downloads, NotStaged
from foundation.stages import StageSetup

SHIPPED = "words/obscene_ita.txt"
LISTS = {"it": ("pesce", "sega", "nave scuola", "zozzo", "lurido", "sozzo"), "en": ("sega", "s&m", "☠")}


def find(text: str) -> BadWords:
    finder = BadWordFinder(LISTS)
    return finder.find(text.lower(), finder.runs & set(RUN.findall(text.lower())))


def test_hits_are_told_by_list_and_word() -> None:
    found = find("Una sega, due SEGA; la nave scuola salpa: s&m ☠☠")
    expected = [("en", "s&m", 1), ("en", "sega", 2), ("en", "☠", 2), ("it", "nave scuola", 1), ("it", "sega", 2)]
    assert found.hits == tuple(WordHits(*hit) for hit in expected)
    assert find("segare, ripesce, naves cuola, pesce2").hits == ()


def test_company_is_another_word_nearby() -> None:
    assert find("zozzo zozzo zozzo").in_company == 0
    assert find("zozzo e lurido").in_company == 2
    assert find(f"zozzo {'a ' * 60} lurido").in_company == 0
    assert find(f"zozzo lurido {'a ' * 60} sozzo").in_company == 2


@pytest.mark.parametrize(("content", "message"), [("pesce\nsega\nPesce\n", r"\['pesce'\] twice"), ("\n \n", "is empty"), (None, "cannot be read")])
def test_wrong_word_lists_are_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "list"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(WebCorpusError, match=message):
        read_word_list(path)


def test_the_published_lists_can_be_read(shared_data: Path) -> None:
    folder = shared_data / "wordlists" / "ldnoobw"
    if not folder.is_dir():
        pytest.skip("needs LDNOOBW's lists in shared/data/wordlists/ldnoobw")
    assert (len(read_word_list(folder / "it")), len(read_word_list(folder / "en"))) == (168, 403)


def test_lines_before_the_first_word_may_say_where_a_list_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("\ufeff# A list.\n#\n\n# CC0-1.0\nPesce\n#sega\n", encoding="utf-8")
    assert read_word_list(path) == ("pesce", "#sega")
    path.write_text("# nothing else\n", encoding="utf-8")
    with pytest.raises(WebCorpusError, match="is empty"):
        read_word_list(path)


# -- where lists come from


def setup_of(lists: Mapping[str, Any], tmp_path: Path, offline: bool = False) -> StageSetup:
    """What a stage knows that measures with these lists; a user's folder and an empty cache below ``tmp_path``."""
    data = DataFolder(tmp_path / "data")
    (tmp_path / "data").mkdir(exist_ok=True)
    sections = {"corpus.web.signals": SignalSettings(word_lists=lists)}
    return StageSetup(sections, data, Downloads(tmp_path / "cache", offline), None, 1)


def test_a_list_is_a_file_of_the_user_or_of_the_project_or_fetched(tmp_path: Path) -> None:
    own, fetched = tmp_path / "own", tmp_path / "fetched"
    for path, word in ((own, "uno"), (fetched, "due")):
        path.write_text(f"{word}\n", encoding="utf-8")
    pinned = {"url": fetched.as_uri(), "sha256": file_sha256(fetched)}
    lists = {"absolute": str(own), "below": "lists/it", "project": SHIPPED, "pinned": pinned, "none": None}
    setup = setup_of(lists, tmp_path)
    with pytest.raises(WebCorpusError, match=r"word_lists: below: there is no file lists/it; name a path below .*data \(TRANSUMANZA_DATA\)"):
        word_lists(setup)
    (tmp_path / "data" / "lists").mkdir()
    (tmp_path / "data" / "lists" / "it").write_text("tre\n", encoding="utf-8")
    found = word_lists(setup)
    assert found == {"absolute": ("uno",), "below": ("tre",), "pinned": ("due",), "project": read_word_list(PROFILES_ROOT / SHIPPED)}
    assert set(files(setup)) == {own, tmp_path / "data" / "lists" / "it", PROFILES_ROOT / SHIPPED}  # what is fetched counts by its sha256
    assert word_lists(setup_of({"pinned": pinned}, tmp_path, offline=True)) == {"pinned": ("due",)}
    assert word_lists(setup_of({"none": None}, tmp_path)) is None


def test_fetch_stages_pinned_lists_and_refuses_others(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("uno\n", encoding="utf-8")
    pinned = {"url": path.as_uri(), "sha256": file_sha256(path)}
    with pytest.raises(NotStaged, match="run `transumanza fetch`"):
        word_lists(setup_of({"it": pinned}, tmp_path, offline=True))
    fetch = next(stage.fetch for stage in stages(WebSettings()) if stage.asset == "signals")
    assert fetch is not None
    fetch(setup_of({"it": pinned}, tmp_path))
    assert word_lists(setup_of({"it": pinned}, tmp_path, offline=True)) == {"it": ("uno",)}
    with pytest.raises(DownloadError, match="is pinned"):
        word_lists(setup_of({"it": {**pinned, "sha256": "0" * 64}}, tmp_path))
    with pytest.raises(ValidationError, match="sha256"):
        SignalSettings(word_lists={"it": {"url": path.as_uri()}})


def test_what_counts_of_a_list_does_not_depend_on_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file below TRANSUMANZA_DATA counts as a user file; one of the same name where the command runs is another one."""
    settings = SignalSettings.model_validate({"word_lists": {"it": "lists/it", "own": SHIPPED}})
    before = content_of(settings)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "it").write_text("uno\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert content_of(settings) == before
    assert before["word_lists"] == {"it": "lists/it", "own": f"sha256:{file_sha256(PROFILES_ROOT / SHIPPED)}"}


# -- the project's own list


def test_the_language_file_names_a_list_that_every_profile_measures_with() -> None:
    for profile in ("smoke", "demo"):
        signals = load_profile(profile, []).profile.corpus.web.signals
        assert signals.word_lists == {"obscene_ita": PROFILES_ROOT / SHIPPED}
    without = load_profile("smoke", ["corpus.web.signals.word_lists={obscene_ita: null, it: wordlists/ldnoobw/it}"])
    assert without.profile.corpus.web.signals.word_lists == {"it": PurePosixPath("wordlists/ldnoobw/it")}


def test_the_shipped_list_holds_no_everyday_word() -> None:
    words = read_word_list(PROFILES_ROOT / SHIPPED)
    (rule,) = [rule for rule in load_rules(PROFILES_ROOT / "rules" / "transumanza.yaml").documents if rule.id == "bad_words"]
    more = {"anale", "imbecille", "cornuto", "bordello", "pippa", "porco", "porca", "zoccola", "frocio", "checca", "recchione", "terrone", "sexy", "suck", "rectum", "semen"}
    assert 40 <= len(words) <= 80 and not set(words) & (more | set(rule.ignoring))


def test_rules_on_bad_words_have_a_value_by_the_shipped_list(language: LanguageSettings) -> None:
    listed = read_word_list(PROFILES_ROOT / SHIPPED)
    meter = make_meter(SignalRun(SignalSettings(), language.words, language.phrases, {"obscene_ita": listed}))
    texts = [f"{FILL} una frase qualunque.", f"{FILL} {' '.join(listed[:4])}."]
    table = pl.from_arrow(signal_table([(str(place), text) for place, text in enumerate(texts)], meter))
    assert isinstance(table, pl.DataFrame)
    rows = table.with_columns(language_score=pl.lit(0.9), target_language=pl.lit(value=True))
    for name in ("transumanza", "clean_mc4_it"):
        found = judge(rows, load_rules(PROFILES_ROOT / "rules" / f"{name}.yaml"), "research")
        assert "bad_words" not in found.unmeasured
        assert ["bad_words" in failed for failed in found.rows["failed_rules"].to_list()] == [False, True]


def test_clean_mc4_it_judges_by_ldnoobw_from_the_data_folder(shared_data: Path, language: LanguageSettings, tmp_path: Path) -> None:
    """The example in its comments; Wikinews passages hold no word of the shipped list, and one in eight holds one of LDNOOBW."""
    if not (shared_data / "wordlists" / "ldnoobw").is_dir():
        pytest.skip("needs LDNOOBW's lists in shared/data/wordlists/ldnoobw")
    rules = load_rules(PROFILES_ROOT / "rules" / "clean_mc4_it.yaml")
    example = "".join(line.removeprefix("#") for line in (PROFILES_ROOT / "rules" / "clean_mc4_it.yaml").read_text(encoding="utf-8").splitlines(True) if line.startswith("#   "))
    named = yaml.safe_load(example)["corpus"]["web"]["signals"]["word_lists"]
    sentences = (shared_data / "evalita/kind-nermud/evalita-2023/WN_test.tsv").read_text(encoding="utf-8").strip().split("\n\n")
    words = [" ".join(line.split("\t")[0] for line in sentence.split("\n")) for sentence in sentences]
    passages = [(f"{start:06d}", " ".join(words[start : start + 10])) for start in range(0, len(words), 10)]
    dropped = {}
    for lists in (named, {"obscene_ita": SHIPPED}):
        setup = StageSetup({"corpus.web.signals": SignalSettings(word_lists=lists)}, DataFolder(shared_data), Downloads(tmp_path), None, 1)
        meter = make_meter(SignalRun(SignalSettings(), language.words, language.phrases, word_lists(setup)))
        table = pl.from_arrow(signal_table(passages, meter))
        assert isinstance(table, pl.DataFrame)
        failed = judge(table.with_columns(target_language=pl.lit(value=True)), rules, "research").rows["failed_rules"].to_list()
        dropped[len(lists)] = sum("bad_words" in rules for rules in failed) / len(passages)
    assert dropped[1] == 0 and 0.05 < dropped[3] < 0.25


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("perchÃ© cosÃ¬ Ã¨", 3),
        ("l’acqua è più «chiara» … così — perché…» disse", 0),
        ("lâ€™acqua â€œchiaraâ€\x9d", 3),
        ("Â«cittÃ\xa0Â»", 3),
        ("cittÃ nuova", 1),
        ("perch� no", 1),
        ("ï»¿Inizio", 1),
        ("plain ASCII", 0),
        ("Âge, São, ÂNCORA, MAÇÃ.", 0),
    ],
)
def test_mojibake_is_counted_and_good_text_has_none(text: str, count: int) -> None:
    assert mojibake(text) == count


@pytest.mark.parametrize("charset", ["latin-1", "cp1252"])
def test_italian_read_in_the_wrong_charset_is_found(charset: str) -> None:
    for char in "àèéìòùÀÈÉÙ":
        assert mojibake(f"x{char}y".encode().decode(charset, "replace")) == 1, char


# -- rules over lists


def judged(text: str, rules: RuleSet, language: LanguageSettings) -> list[str]:
    meter = make_meter(SignalRun(SignalSettings(), language.words, language.phrases, LISTS))
    rows = pl.from_arrow(signal_table([("d", text)], meter))
    assert isinstance(rows, pl.DataFrame)
    rows = rows.with_columns(language_score=pl.lit(0.9))
    return judge(rows.select(columns_for(rules, "research")), rules, "research").rows["failed_rules"].to_list()[0]


FILL = " ".join(f"parola{n} di" for n in range(60))


def test_density_and_company_judge_and_everyday_words_do_not(language: LanguageSettings) -> None:
    rules = load_rules(PROFILES_ROOT / "rules" / "transumanza.yaml")
    assert "bad_words" in judged(f"{FILL} zozzo lurido sozzo.", rules, language)  # 3 of 124 words
    assert "bad_words" not in judged(f"{FILL} zozzo lurido lurido.", rules, language)  # two kinds
    assert "bad_words" not in judged(f"zozzo {FILL} lurido {FILL} sozzo.", rules, language)  # apart
    assert "bad_words" not in judged(f"{FILL} {FILL} {FILL} zozzo lurido sozzo.", rules, language)  # thin
    assert "bad_words" not in judged(f"{FILL} pesce pesce sega lurido sozzo.", rules, language)  # what counts are two kinds


def test_ignored_words_are_taken_out_once_even_of_two_lists(language: LanguageSettings) -> None:
    def rules(signal: str, threshold: float) -> RuleSet:
        rule = {"id": "r", "signal": signal, "comparison": "at_most", "threshold": threshold, "ignoring": ["sega"], "source": "s", "why": "w"}
        return RuleSet.model_validate({"name": "x", "documents": [rule]})

    text = "sega sega pesce di casa"  # `sega` is in both lists
    assert judged(text, rules("bad_words", 1), language) == [] and judged(text, rules("bad_words", 0), language) == ["r"]
    assert judged(text, rules("bad_word_kinds", 1), language) == [] and judged(text, rules("bad_word_kinds", 0), language) == ["r"]
    assert judged(text, rules("bad_word_share", 0.2), language) == [] and judged(text, rules("bad_word_share", 0.19), language) == ["r"]


def test_policy_phrases_are_counted_by_language(language: LanguageSettings) -> None:
    meter = make_meter(SignalRun(SignalSettings(), language.words, language.phrases))
    row = meter.measure("Privacy Policy e privacy policy\nQui si parla di uso dei cookie")
    assert row["policy_hits"] == [
        {"list": "eng", "word": "privacy policy", "hits": 2},
        {"list": "ita", "word": "uso dei cookie", "hits": 1},
    ]
    assert row["policy_phrases"] == 3 and row["policy_line_share"] == 1 and row["bad_words"] is None and row["bad_word_hits"] == []


# -- classifiers


def entry(path: Path | None, **values: str) -> ClassifierSettings:
    given = {"name": "lingua", "sha256": file_sha256(path) if path else "0" * 64, "label": "it", **({"path": path} if path else {}), **values}
    return ClassifierSettings.model_validate(given)


def test_any_fasttext_model_is_a_score_column_by_one_entry(model: Path, language: LanguageSettings, tmp_path: Path) -> None:
    data, downloads = DataFolder(model.parent), Downloads(tmp_path, offline=True)
    for named in (model, Path(model.name)):
        found = resolve_classifiers([entry(model).model_copy(update={"path": named})], data, downloads)
        meter = make_meter(SignalRun(SignalSettings(), language.words, language.phrases, None, found))
        table = signal_table([("a", "Il cane dorme sotto il tavolo della cucina."), ("b", "The dog sleeps under the table."), ("c", "")], meter)
        scores = [row[0] for row in table["classifier_scores"].to_pylist()]
        assert [(score["name"], score["label"]) for score in scores] == [("lingua", "it")] * 3
        assert scores[0]["score"] > 0.8 and scores[1]["score"] < 0.2 and scores[2]["score"] == 0
    rule = {"id": "r", "signal": "classifier:lingua", "comparison": "at_least", "threshold": 0.5, "source": "s", "why": "w"}
    rules = RuleSet.model_validate({"name": "x", "documents": [rule]})
    rows = pl.from_arrow(table)
    assert isinstance(rows, pl.DataFrame)
    assert judge(rows.select(columns_for(rules, "research")), rules, "research").rows["failed_rules"].to_list() == [[], ["r"], ["r"]]
    other = RuleSet.model_validate({"name": "x", "documents": [{**rule, "signal": "classifier:other"}]})
    with pytest.raises(WebCorpusError, match="classifier 'other', which no document has"):
        judge(rows, other, "research")


def test_wrong_classifiers_are_refused(model: Path, tmp_path: Path) -> None:
    data, downloads = DataFolder(tmp_path), Downloads(tmp_path / "cache")
    wrong = hashlib.sha256(b"").hexdigest()
    with pytest.raises(WebCorpusError, match=r"lingua: .* has sha256 .* is named"):
        resolve_classifiers([entry(model, sha256=wrong)], data, downloads)
    with pytest.raises(DownloadError, match="is pinned"):
        resolve_classifiers([entry(None, url=model.as_uri(), sha256=wrong)], data, downloads)
    with pytest.raises(WebCorpusError, match="there is no file nowhere"):
        resolve_classifiers([entry(model).model_copy(update={"path": Path("nowhere")})], data, downloads)
    with pytest.raises(ValidationError, match="either path or url"):
        entry(model, url="https://models.example/m.bin")
    (found,) = resolve_classifiers([entry(model, label="italiano")], data, downloads)
    with pytest.raises(WebCorpusError, match="has no label 'italiano'"):
        found.row("Una frase italiana.")
