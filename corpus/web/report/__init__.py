"""The report of the web corpus, for people: what became of the records, what each rule costs and shifts, and pages to judge by eye.

Everything is computed from published versions, in bounded memory: narrow columns of all documents pass by in ranges; text is read of a few
drawn documents only. Nothing here is an asset, so nothing here makes one stale.
"""

from corpus.web.report.corpus_report import CorpusReport, ReportSettings, corpus_report
from corpus.web.report.versions import CorpusVersions

__all__ = ["CorpusReport", "CorpusVersions", "ReportSettings", "corpus_report"]
