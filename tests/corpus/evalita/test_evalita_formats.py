"""Official formats: read as distributed, however a copy spelt its line ends, and refused with one clear message when damaged."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from corpus.evalita.errors import EvalitaError
from corpus.evalita.formats.pubtator import documents
from corpus.evalita.formats.spreadsheet import sheet_rows
from corpus.evalita.formats.tables import separated, unquoted
from corpus.evalita.formats.tokens import token_sentences
from corpus.evalita.formats.xml import xml_root
from corpus.evalita.tasks import TASKS
from tests.corpus.evalita.sampled import copied_samples, items_in, sample_items


def with_mark(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def with_crlf(content: bytes) -> bytes:
    return content.replace(b"\n", b"\r\n")


def without_end(content: bytes) -> bytes:
    return content.rstrip(b"\n")


@pytest.mark.parametrize("change", [with_mark, with_crlf, without_end])
@pytest.mark.parametrize("name", TASKS)
def test_byte_order_mark_line_ends_and_a_missing_last_newline_change_nothing(name: str, change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    copied_samples(tmp_path, name)
    for file in TASKS[name].files:
        path = tmp_path / file.path
        if path.is_file():
            path.write_bytes(change(path.read_bytes()))
    assert items_in(tmp_path, name) == list(sample_items(name))


def rewrite(change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda path: path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")


def cut_in_the_middle(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xff\xfe")


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return rewrite(change)


DAMAGE = [
    ("wic_ita", "wic-ita/binary/train.jsonl", replaced('"lemma"', '"lemme"'), r"train.jsonl, line 1: no column 'lemma'"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: text + '{"id": "x"'), r"dev.jsonl, line 17: not JSON"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: re.sub(r'"end1": \d+', '"end1": 9999', text, count=1)), r"line 1: start1 \d+ and end1 9999"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: re.sub(r'"label": \d', '"label": 2', text, count=1)), r"line 1: column 'label' is 2"),
    ("wic_ita", "wic-ita/binary/dev.jsonl", rewrite(lambda text: re.sub(r'"label": \d', '"label": true', text, count=1)), r"'label' is True, expected int"),
    ("wic_ita", "wic-ita/gold_truth/binary/test.jsonl", rewrite(lambda text: text.split("\n", 1)[1]), r"has no label in"),
    ("wic_ita", "wic-ita/binary/train.jsonl", cut_in_the_middle, r"train.jsonl: not UTF-8"),
    ("wic_ita", "wic-ita/binary/train.jsonl", rewrite(lambda text: text + text), r"two items have the id"),
    ("wic_ita", "wic-ita/binary/train.jsonl", rewrite(lambda _text: "\n"), r"train.jsonl is empty"),
    ("wic_ita_ranking", "wic-ita/ranking/dev.jsonl", rewrite(lambda text: re.sub(r'"score": [\d.]+', '"score": 7', text, count=1)), r"'score' is 7, expected"),
    ("nermud", "kind-nermud/evalita-2023/WN_dev.tsv", replaced("\tO", " O"), r"WN_dev.tsv, line \d+: expected token and label"),
    ("nermud", "kind-nermud/evalita-2023/WN_dev.tsv", replaced("B-LOC", "LOC"), r"WN_dev.tsv, line 1: label 'LOC'"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_officialdistrib_train.csv", replaced('"iro"', '"irony"'), r"row 1: no column 'iro'"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_officialdistrib_train.csv", replaced(",0,", ",7,"), r"row 2: column 'subj' is '7'"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_officialdistrib_train.csv", rewrite(lambda text: text.rstrip()[:-1]), r"near line \d+: unexpected end"),
    ("sentipolc_irony", "sentipolc-2016/sentipolc16_gold2000_text.csv", replaced('","', '";"'), r"row 1: expected eight quoted numbers"),
    ("discotex_2", "discotex/data/train/discotex_2_train_clean_release.tsv", replaced("SCORE", "MEAN"), r"row 1: no column 'SCORE'; expected .* found .*'MEAN'"),
    ("discotex_2", "discotex/data/train/discotex_2_train_clean_release.tsv", replaced("\t4.6", "\t46"), r"row 2: column 'SCORE' is '46', expected a number from 1 to 5"),
    ("discotex_1", "discotex/data/test/gold/discotex_1_ted_test_set_release.tsv", replaced("\t1\n", "\t1\t1\n"), r"row 2: 5 columns, expected 4"),
    ("erte3", "e-rte-3-it/e-RTE-3-it/TEST.xml", replaced('entailment="YES"', 'entailment="BOH"'), r"TEST.xml: pair id='1' needs .* entailment"),
    ("erte3", "e-rte-3-it/e-RTE-3-it/TEST.xml", replaced("</pair>", ""), r"TEST.xml: not well-formed XML"),
    ("erte3", "e-rte-3-it/e-RTE-3-it/TEST.xml", replaced("<entailment-corpus>", "<!DOCTYPE x [<!ENTITY a 'b'>]><entailment-corpus>"), "document type is declared"),
    ("clinkart", "clinkart/clinkart_dataset.txt", replaced("\tREL\t", "\tREX\t"), r"line 2: expected id, REL"),
    ("clinkart", "clinkart/clinkart_dataset.txt", replaced("\t25 mg/l\t", "\t26 mg/l\t"), r"line 2: span \d+-\d+ holds '25 mg/l', the file says '26 mg/l'"),
    ("clinkart", "clinkart/clinkart_dataset.txt", replaced("900002|t|", "900001|t|"), r"document 900001 comes a second time"),
    ("acti_b", "acti/subtaskB_train.csv", replaced(",0\n", ",9\n"), r"row 2: column 'conspiracy' is '9', expected one of"),
    ("emit_a", "emit/emit_train.csv", replaced("Anger,", "Rage,"), r"row 1: no column 'Anger'"),
    ("emotivita", "emotivita/emotivita_development.csv", replaced("4.35", "435"), r"row 2: column 'V' is '435'"),
    ("geolingit_a", "geolingit/subtask_a/train_a.tsv", replaced("Campania", "Atlantide"), r"row 2: column 'region' is 'Atlantide'"),
    ("geolingit_b", "geolingit/subtask_b/train_b.tsv", replaced("40.85", "-40.85"), r"row 2: column 'latitude' is '-40.85'"),
    ("haspeede3", "haspeede3/haspeede3_train.csv", replaced("anonymized_text", "text"), r"row 1: no column 'anonymized_text'"),
    ("hodi_b", "hodi/HODI_2023_train_subtaskB.tsv", replaced("[27, ", "[99, "), r"row 2: column 'rationales' is .* expected a list of offsets below 45"),
    ("hodi_b", "hodi/HODI_2023_train_subtaskB.tsv", replaced("[27, ", "[print(1), "), r"row 2: column 'rationales' is"),
    ("langlearn", "langlearn/cita_training.tsv", replaced("a_1_1\t", "z_1_1\t"), r"row 2: essay 'z_1_1' is not among the essays"),
    ("langlearn", "langlearn/cita_training.tsv", replaced("1_1\t1_4", "1_4\t1_4"), r"row 2: Order_1 and Order_2 are both '1_4'"),
    ("multifakedetective", "multifakedetective/task1_train.tsv", replaced("\t3\n", "\tvero\n"), r"row 2: column 'Label' is 'vero'"),
    ("politicit_gender", "politicit/politicit_train.csv", replaced('101,male,right,right,"Meno', '101,female,right,right,"Meno'), r"row 3: cluster '101' has .* and .* before"),
    ("xcopa", "xcopa/data/it/test.it.jsonl", replaced('"cause"', '"reason"'), r"test.it.jsonl, line 1: question is 'reason'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "damage", "message"), DAMAGE)
def test_damaged_files_give_one_clear_error(name: str, file: str, damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    copied_samples(tmp_path, name)
    damage(tmp_path / "evalita" / file)
    with pytest.raises(EvalitaError, match=message):
        items_in(tmp_path, name)


def test_every_task_has_a_damaged_file_in_the_list() -> None:
    families = {name.split("_")[0] for name in TASKS}
    assert families == {name.split("_")[0] for name, *_ in DAMAGE}


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0b"])
def test_a_tweet_may_hold_what_python_takes_for_the_end_of_a_line(sign: str, tmp_path: Path) -> None:
    copied_samples(tmp_path, "sentipolc_irony")
    path = tmp_path / "evalita/sentipolc-2016/sentipolc16_gold2000_text.csv"
    first, rest = path.read_text(encoding="utf-8").split("\n", 1)
    path.write_bytes(f'{first[:-1]}{sign}fine"\r\n{rest}'.encode())
    after = items_in(tmp_path, "sentipolc_irony")
    assert len(after) == len(sample_items("sentipolc_irony"))
    assert any(item.fields["text"].endswith(f"{sign}fine") for item in after)


def test_multi_line_fields_and_doubled_quotes_stay_one_row(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('ID\tTEXT\n1\t"Uno.\nDue ""due"".\n"\n2\tTre.\n', encoding="utf-8")
    assert [row["TEXT"] for _, row in separated(path, ("ID", "TEXT"), "\t")] == ['Uno.\nDue "due".\n', "Tre."]


def test_quotes_are_text_where_a_format_says_so(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('id\ttext\n1\t"Uè, guagliò\n2\tche "bello" \n', encoding="utf-8")
    assert [row["text"] for _, row in unquoted(path, ("id", "text"))] == ['"Uè, guagliò', 'che "bello" ']


def test_the_unquoted_blind_file_of_discotex_needs_another_reader_than_the_gold_one(shared_data: Path) -> None:
    folder = shared_data / "evalita/discotex/data/test"
    blind, gold = (folder / kind / "discotex_1_wiki_test_set_release.tsv" for kind in ("blind", "gold"))
    rows = dict(unquoted(blind, ("ID", "PROMPT", "TARGET")))
    assert len(rows) == len(dict(separated(gold, ("ID", "PROMPT", "TARGET", "CLASS"), "\t"))) == 800
    with pytest.raises(EvalitaError):
        list(separated(blind, ("ID", "PROMPT", "TARGET"), "\t"))


def test_repeated_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,text,text\n1,a,b\n")
    with pytest.raises(EvalitaError, match="column 'text' is there more than once"):
        list(separated(path, ("id", "text"), ","))


def test_the_last_sentence_needs_no_blank_line_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("Anna\tB-PER\n\n\nRoma\tB-LOC\n.\tO")
    assert list(token_sentences(path)) == [(1, [("Anna", "B-PER")]), (4, [("Roma", "B-LOC"), (".", "O")])]


def test_pubtator_texts_may_hold_the_separator_and_spans_may_stand_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("7|t|Reparto A|B: FE 55%\n7\tREL\t16-19\t13-15\n\n8|t|Niente.")
    found = list(documents(path))
    assert [(document.id, document.relations) for document in found] == [("7", [((16, 19), (13, 15))]), ("8", [])]
    assert found[0].text[16:19] == "55%"


@pytest.mark.parametrize(
    ("line", "message"),
    [("7\tREL\t1-99\t0-2", "lies outside the text"), ("9\tREL\t0-1\t1-2", "relation of document 9, below the text of document 7"), ("7\tREL\tx\t0-2", "expected start-end")],
)
def test_wrong_relations_are_refused(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text(f"7|t|FE 55%\n{line}\n")
    with pytest.raises(EvalitaError, match=message):
        list(documents(path))


@pytest.mark.parametrize("content", ["<!DOCTYPE r [<!ENTITY a 'aaaa'>]><r>&a;</r>", "<!doctype r SYSTEM 'file:///etc/hostname'><r/>"])
def test_document_types_are_refused_before_anything_is_unpacked(content: str, tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_text(content)
    with pytest.raises(EvalitaError, match="document type is declared"):
        xml_root(path)


def workbook(path: Path, sheet: str, shared: str = "") -> Path:
    """A workbook as spreadsheet programs write it, with one sheet of given cells."""
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    declaration = "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", f'{declaration}<workbook {main} xmlns:r="{office}"><sheets><sheet name="Foglio1" sheetId="1" r:id="rId7"/></sheets></workbook>')
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'{declaration}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId7" Target="worksheets/sheet3.xml"/></Relationships>',
        )
        archive.writestr("xl/worksheets/sheet3.xml", f"{declaration}<worksheet {main}><sheetData>{sheet}</sheetData></worksheet>")
        archive.writestr("xl/sharedStrings.xml", f"{declaration}<sst {main}>{shared}</sst>")
    return path


def cells(number: int, *values: str) -> str:
    inside = "".join(f'<c r="{letter}{number}" t="inlineStr"><is><t>{escape(value)}</t></is></c>' for letter, value in zip("ABC", values, strict=False))
    return f'<row r="{number}">{inside}</row>'


def test_spreadsheets_give_texts_numbers_and_gaps(tmp_path: Path) -> None:
    sheet = (
        cells(1, "id", "text", "irony")
        + '<row r="2"><c r="A2" t="s"><v>0</v></c><c r="B2" t="s"><v>1</v></c><c r="C2"><v>1.0</v></c></row>'
        + '<row r="3"><c r="C3"/></row>'
        + '<row r="5"><c r="A5" t="str"><v>511111111111111111</v></c><c r="C5"><v>0</v></c></row>'
    )
    shared = "<si><t>507079183315787777</t></si><si><r><t>Che </t></r><r><t xml:space='preserve'>bello &amp; caro</t></r><rPh><t>x</t></rPh></si>"
    assert list(sheet_rows(workbook(tmp_path / "x.xlsx", sheet, shared), ("id", "text", "irony"))) == [
        (2, {"id": "507079183315787777", "text": "Che bello & caro", "irony": "1.0"}),
        (5, {"id": "511111111111111111", "text": "", "irony": "0"}),
    ]


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        (cells(1, "id", "testo", "irony"), r"row 1: no column 'text'; expected .* found \['id', 'testo', 'irony'\]"),
        ("", "first sheet is empty"),
        (cells(1, "id", "text", "irony") + '<row r="2"><c r="A2"><v>5.07079183315787E17</v></c></row>', r"cell A2: .* keeps 15 digits; ids must be texts"),
        (cells(1, "id", "text", "irony") + '<row r="2"><c r="A2" t="s"><v>4</v></c></row>', r"cell A2: no shared string '4'"),
        (cells(1, "id", "text", "irony") + '<row r="2"><c r="A2" t="e"><v>#REF!</v></c></row>', r"cell A2: holds the error #REF!"),
    ],
)
def test_damaged_spreadsheets_give_one_clear_error(sheet: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(EvalitaError, match=message):
        list(sheet_rows(workbook(tmp_path / "x.xlsx", sheet), ("id", "text", "irony")))


def test_spreadsheets_that_are_none_or_would_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.xlsx").write_text("id;text\n")
    with pytest.raises(EvalitaError, match="not an XLSX workbook"):
        list(sheet_rows(tmp_path / "x.xlsx", ("id",)))
    large = workbook(tmp_path / "y.xlsx", cells(1, "id") + cells(2, "x" * 5000))
    monkeypatch.setattr("corpus.evalita.formats.spreadsheet.MAX_BYTES", 2000)
    with pytest.raises(EvalitaError, match="unpacks to"):
        list(sheet_rows(large, ("id",)))
