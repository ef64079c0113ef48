"""What a person sees of the sources: what became of the rows, how long they are, which licences they have, and examples.

Everything is counted from the tables as they are written; nothing here decides about a row.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from foundation.sources.licences import combine, reason_to_keep_back
from translation.sources.merging import Parts

CELL_CHARACTERS = 240
SHOWN_ROWS = 6
SHOWN_CHANGES = 12
SHOWN_ASIDE = 24
EXAMPLES_OF_A_KIND = 2
_PERSONAL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+|(?<![\w.])\+?\d(?:[ ().-]{0,2}\d){8,14}(?![\w.])")
"""E-mail addresses and what may be a telephone number: what is shown is read by more people than the table."""


class Lengths:
    """How often each length was seen; quantiles of any number of values in the memory of the distinct ones."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, lengths: pa.Array | pa.ChunkedArray) -> None:
        """Count lengths."""
        for entry in pc.value_counts(lengths).to_pylist():
            self._counts[entry["values"]] += entry["counts"]

    @property
    def total(self) -> int:
        """The sum of all lengths."""
        return sum(length * count for length, count in self._counts.items())

    def counted(self) -> tuple[list[int], list[int]]:
        """Lengths, ascending, and how often each was seen."""
        lengths = sorted(self._counts)
        return lengths, [self._counts[length] for length in lengths]

    def quantiles(self) -> dict[str, int]:
        """The smallest length that at least half of the values do not pass, and so on; empty where nothing was counted."""
        lengths, counts = self.counted()
        if not lengths:
            return {}
        upto = np.cumsum(counts)
        shares = {"p05": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "p99": 0.99}
        found = {name: lengths[int(np.searchsorted(upto, share * upto[-1]))] for name, share in shares.items()}
        return {"min": lengths[0], **found, "max": lengths[-1]}


class Account:
    """What was written, counted piece by piece.

    Args:
        chats: whether rows are chats.
    """

    def __init__(self, *, chats: bool) -> None:
        self._chats = chats
        self.rows = 0
        self.contexts = 0
        self.sources: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.changed: Counter[str] = Counter()
        self.cut: Counter[str] = Counter()
        self.tasks: Counter[str] = Counter()
        self.categories: Counter[str] = Counter()
        self.lengths = {name: Lengths() for name in (("exchanges", "message_characters") if chats else ("request_characters", "answer_characters"))}
        self.first: list[dict[str, Any]] = []
        self.first_aside: list[dict[str, Any]] = []

    def add(self, table: pa.Table) -> None:
        """Count rows that are kept."""
        self.rows += table.num_rows
        _count(self.sources, table.column("source"))
        _count(self.licences, table.column("licence"))
        _count(self.changed, pc.list_flatten(table.column("changes")))
        self.first += table.slice(0, max(0, SHOWN_ROWS - len(self.first))).to_pylist()
        if self._chats:
            _count(self.cut, table.column("cut_before").drop_null())
            messages = table.column("messages")
            self.lengths["exchanges"].add(pc.divide(pc.list_value_length(messages), 2))  # a system message is the odd one
            self.lengths["message_characters"].add(pc.utf8_length(pc.struct_field(pc.list_flatten(messages), "content")))
        else:
            _count(self.categories, table.column("category").drop_null())
            contexts = pc.utf8_length(table.column("context"))
            self.contexts += pc.sum(pc.greater(contexts, 0)).as_py() or 0
            self.lengths["request_characters"].add(pc.add(pc.utf8_length(table.column("instruction")), contexts))
            self.lengths["answer_characters"].add(pc.utf8_length(table.column("response")))

    def add_aside(self, table: pa.Table) -> None:
        """Count rows that are set aside; some of each kind are shown."""
        for index, kind in enumerate(table.column("task").to_pylist()):
            self.tasks[kind] += 1
            if self.tasks[kind] <= EXAMPLES_OF_A_KIND:
                self.first_aside += table.slice(index, 1).to_pylist()

    def statistics(self, parts: Parts, origin: str) -> dict[str, Any]:
        """Counts for the manifest: ``read`` = ``rows`` + ``set_aside`` + all that was ``dropped``."""
        lengths = {name: lengths.quantiles() for name, lengths in self.lengths.items()}
        more = (
            {"messages": sum(self.lengths["message_characters"].counted()[1]), "cut": _sorted(self.cut)}
            if self._chats
            else {"with_context": self.contexts, "categories": _sorted(self.categories)}
        )
        return {
            "rows": self.rows,
            "read": parts.read,
            "set_aside": self.tasks.total(),
            "dropped": _sorted(parts.dropped),
            **more,
            "changed": _sorted(self.changed),
            "tasks": _sorted(self.tasks),
            **lengths,
            "characters": sum(lengths.total for name, lengths in self.lengths.items() if name != "exchanges"),
            "sources": _sorted(self.sources),
            "licences": _sorted(self.licences),
            "licence": set_licence(self.licences),
            "origin": origin,
        }

    def previews(self, parts: Parts) -> dict[str, str]:
        """Tables in Markdown: the first rows, what was changed, what was set aside, what became of all rows."""
        if self._chats:
            pairs = [(row["id"], message["role"], message["content"]) for row in self.first[:2] for message in row["messages"][:4]]
            first = _table(("Chat", "Role", "Message"), pairs)
        else:
            first = _table(("Instruction", "Context", "Response"), [(row["instruction"], row["context"], row["response"]) for row in self.first])
        aside = [(row["task"], row["messages"][0]["content"] if self._chats else row["instruction"], row["matched"]) for row in self.first_aside]
        fates = [("kept", self.rows), *((f"set aside: {kind}", count) for kind, count in self.tasks.most_common())]
        fates += [(f"left out: {reason}", count) for reason, count in parts.dropped.most_common()]
        fates += [(f"of those kept, cut before: {reason}", count) for reason, count in self.cut.most_common()]
        fates += [(f"of those kept, changed: {step}", count) for step, count in self.changed.most_common()]
        found = {
            "First rows": first,
            "What became of the rows": _table(("", "Rows"), [(name, f"{count:,}") for name, count in fates]),
            "Licences": _table(("Licence", "Rows"), [(name, f"{count:,}") for name, count in self.licences.most_common()]),
        }
        if parts.examples:
            found["Changed"] = _table(("Step", "Before", "After"), [(entry["step"], entry["before"], entry["after"]) for entry in parts.examples[:SHOWN_CHANGES]])
        if aside:
            found["Set aside"] = _table(("Kind", "Request", "Told by"), aside[:SHOWN_ASIDE])
        return found

    def plot(self) -> bytes:
        """A PNG with a histogram of each length; the longest hundredth is gathered at the right edge."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7.2, 2.8), dpi=90, layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (name, lengths) in zip(figure.subplots(1, 2), self.lengths.items(), strict=True):
            values, counts = lengths.counted()
            edge = lengths.quantiles().get("p99", 1)
            bins = min(40, edge + 1)
            axes.hist(np.minimum(values, edge), bins=bins, range=(0, edge + 1), weights=counts, color="#4a6fa5")
            axes.set_xlabel(name.replace("_", " "), fontsize=8)
            axes.set_ylabel("rows" if name == "exchanges" or not self._chats else "messages", fontsize=8)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", metadata={"Software": None})
        return buffer.getvalue()


def set_licence(names: Iterable[str]) -> str:
    """The licence of a set as the Hub calls it: one that all rows may be given on under; a share-alike row makes a share-alike set.

    "other" where the rows' licences do not go together, or one of them is not known: each row keeps its own.
    """
    terms = combine(names)
    for licence in (licence for licence in terms.licences if licence.share_alike):
        if all(reason_to_keep_back(row.name, licence.name) is None for row in terms.licences):
            return licence.hub
    return terms.card_name


def card_text(asset: str, statistics: Mapping[str, Any], description: str) -> str:
    """The text of the version's card."""
    terms = combine(statistics["licences"])
    lines = [f"# {asset}", "", description, "", *(f"- {name}: {count:,} rows" for name, count in statistics["sources"].items()), ""]
    lines.append(f"Licences by rows: {', '.join(f'{name} {count:,}' for name, count in statistics['licences'].items())}.")
    if terms.share_alike:
        lines.append(f"What is made of rows under {', '.join(terms.share_alike)} stays under that licence (share-alike).")
    lines.append(
        f"{statistics['read']:,} rows were read; {statistics['set_aside']:,} are in `set_aside`, since their task has no answer in another language; "
        f"{sum(statistics['dropped'].values()):,} were left out."
    )
    return "\n".join(lines)


def _count(counter: Counter[str], values: pa.Array | pa.ChunkedArray) -> None:
    for entry in pc.value_counts(values).to_pylist():
        counter[entry["values"]] += entry["counts"]


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _cell(text: str) -> str:
    masked = _PERSONAL.sub("•••", text[: 4 * CELL_CHARACTERS])
    short = masked if len(masked) <= CELL_CHARACTERS else f"{masked[:CELL_CHARACTERS]}…"
    return short.replace("|", "\\|").replace("\n", "<br>")
