"""The quality report: scores are sacrebleu's, samples are drawn and read back, the report stands alone."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.metrics import BLEU, CHRF

from foundation.language.sentences import SentenceSettings
from foundation.review.sheets import SheetError
from foundation.sources.data import DataFolder
from tests.translation.test_translation_stages import LOOSE, line  # noqa: F401 - a fixture
from translation.engines.identity import IDENTITY
from translation.errors import SourceError
from translation.quality.parallel_sets import Pairs, read_sets
from translation.quality.quality_report import quality_report
from translation.quality.samples import VERDICTS, draw, lines, read_sheet, sheet_of
from translation.quality.scores import score_set
from translation.quality.writing import write_report
from translation.settings import GateSettings, ParallelSet
from translation.translate import Translator

PAIRS = Pairs("toy", "CC0-1.0", ("Il gatto dorme sul divano.", "Paris is large.", "Two words"), ("Il gatto dorme sul letto.", "Parigi è grande.", "Due parole"))
IDENTITY_TRANSLATOR = Translator(IDENTITY, SentenceSettings())


def test_scores_are_those_of_sacrebleu() -> None:
    """The identity engine leaves the sources as they are, so that they are the outputs."""
    found = score_set(PAIRS, IDENTITY_TRANSLATOR)
    outputs, references = list(PAIRS.sources), [list(PAIRS.references)]
    assert found.bleu.value == pytest.approx(BLEU().corpus_score(outputs, references).score, abs=0.01)
    assert found.chrf.value == pytest.approx(CHRF().corpus_score(outputs, references).score, abs=0.01)
    assert found.bleu.half_width > 0 and "tok:13a" in found.bleu.signature and "version:" in found.chrf.signature
    assert found.examples[0] == (PAIRS.sources[0], PAIRS.references[0], PAIRS.sources[0])
    assert found.untranslated_share == pytest.approx(8 / 10)  # a sentence of one word or two may well be the same


def test_parallel_sets_are_read_or_missed(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_text("One\nTwo\n", encoding="utf-8")
    (tmp_path / "a.it").write_text("Uno\nDue", encoding="utf-8")
    (tmp_path / "t.tsv").write_text("x\tOne\tUno\n", encoding="utf-8")
    wanted = [
        ParallelSet(name="files", source="a.en", target="a.it"),
        ParallelSet(name="table", source="t.tsv", columns=(1, 2)),
        ParallelSet(name="absent", source="b.en", target="a.it"),
    ]
    found, missing = read_sets(wanted, DataFolder(tmp_path))
    assert [(pairs.name, pairs.sources, pairs.references) for pairs in found] == [("files", ("One", "Two"), ("Uno", "Due")), ("table", ("One",), ("Uno",))]
    assert missing == ["absent"]
    assert read_sets(wanted, DataFolder(tmp_path), most=1)[0][0].sources == ("One",)
    (tmp_path / "a.it").write_text("Uno\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"2 lines .* 1; a parallel set"):
        read_sets(wanted, DataFolder(tmp_path))
    with pytest.raises(SourceError, match=r"t\.tsv, line 1: 3 columns"):
        read_sets([ParallelSet(name="table", source="t.tsv", columns=(1, 5))], DataFolder(tmp_path))


@pytest.fixture
def published(line: Callable[..., dict[str, Any]]) -> dict[str, Any]:  # noqa: F811
    results = line({"engine": {"engine": "identity"}, "gates": LOOSE, "sources": {"max_chats": 12, "max_instructions": 20}})
    return {name: (results[f"translated_{name}"].published, results[f"translated_{name}"].record) for name in ("chats", "instructions")}


def filled(text: str, verdicts: dict[int, str]) -> str:
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    place = rows[0].index("verdict")
    for number, verdict in verdicts.items():
        rows[number][place] = verdict
    stream = io.StringIO()
    csv.writer(stream, delimiter=";").writerows(rows)
    return stream.getvalue()


def test_samples_are_drawn_and_read_back(published: dict[str, Any], tmp_path: Path) -> None:
    versions = {name: version for name, (version, _) in published.items()}
    samples = draw(versions, 10, seed=1)
    assert samples == draw(versions, 10, seed=1) != draw(versions, 10, seed=2)
    assert {sample.set for sample in samples} == {"chats", "instructions"} and len({(sample.set, sample.id) for sample in samples}) == len(samples)
    assert all(sample.source == sample.translation for sample in samples if sample.table == "kept")
    sheet = tmp_path / "review.csv"
    sheet.write_text(filled(sheet_of(samples), {1: "Good", 2: "minor", 3: " BAD "}), encoding="utf-8")
    found = read_sheet(sheet, versions)
    assert sum(sum(entry.counts.values()) for entry in found.tables) == 3 and found.unjudged == len(samples) - 3
    first = next(entry for entry in found.tables if entry.counts.get("good"))
    assert first.usable is not None and first.usable.low < first.usable.share < 1.0
    assert any("usable (95 % interval" in text for text in lines(found))
    sheet.write_text(filled(sheet_of(samples), {1: "perfect"}), encoding="utf-8")
    with pytest.raises(SheetError, match=f"row 2 .*'perfect' is none of {', '.join(VERDICTS)}"):
        read_sheet(sheet, versions)
    sheet.write_text(filled(sheet_of(samples), {1: "good"}).replace(str(versions["chats"]), "translated_chats@0000"), encoding="utf-8")
    with pytest.raises(SheetError, match="is published now; write a new sheet"):
        read_sheet(sheet, versions)


def test_the_report_stands_alone_and_keeps_a_filled_sheet(published: dict[str, Any], tmp_path: Path) -> None:
    report = quality_report("demo", IDENTITY_TRANSLATOR, [PAIRS], published, GateSettings(), samples=6, seed=1, missing=["parallel set flores"])
    chats = next(found for found in report.sets if found.name == "chats")
    assert chats.rows == chats.kept + chats.quarantined == published["chats"][1].statistics["rows_read"]
    assert chats.spreads[0].signal == "length_ratio" and chats.spreads[0].quantiles[3] == 1.0
    written = write_report(report, tmp_path / "out")
    html = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert "<script" not in html and "src=\"http" not in html and "parallel set flores" in html and "chats-length_ratio" not in html
    markdown = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    assert "| toy | 3 |" in markdown and "(chats-length_ratio.png)" in markdown and (tmp_path / "out/chats-length_ratio.png").is_file()
    assert written.sheet_kept is None
    sheet = tmp_path / "out/review.csv"
    content = filled(sheet.read_text(encoding="utf-8"), {1: "good"}).encode()
    sheet.write_bytes(content)
    assert "stays as it is" in str(write_report(report, tmp_path / "out").sheet_kept)
    assert sheet.read_bytes() == content
