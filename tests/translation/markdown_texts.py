"""Markdown for tests: lines that are made to be put together in any order, and texts that are made to hurt."""

from __future__ import annotations

from hypothesis import strategies as st

LINES = (
    "# Title", "## A *b* c ##", "Title below\n===", "- item one", "  * nested item. Two.", "    - deeper", "1. first", "2) second", "10. tenth", "(a) letter",
    "> quoted line", "> > twice", "> ```", "```python", "```", "````", "~~~", "    code = 1", "\tcode", "- ```sh", "| a | b |", "|---|:-:|", "| `x|y` | two words |",
    "a | b", "--|--", "> | q | r |", "$$", "x^2", "\\[", "\\]", "$$ a = b $$", "\\begin{align}", "\\end{align}", "a $x_1$ b \\(y\\) c", "**Bold**: text", "**Bold.** text",
    "plain words. More words!", "see `a_b` and https://x.org/a_b?c=d.", "me@x.org", "{0} and [Name] <b>x</b>", "[link text](https://x.org (t))", "[ref]: https://x.org",
    "---", "===", "", "   ", "trailing  ", "tab\tin", "snake_case_name stays", "**", "XQ0Z", "- [ ] task", "\u00a0nbsp", "été — \u2028 separators", "`", "``", "`two", "lines`",
    "$5 and $6", "/usr/share/doc/x", "<div>", "</div>", "<!--", "-->", "<script>", "</script>", "<p>Prose in HTML.</p>", "zero\u200bwidth\ufeff", "\ufeff- marked",
    "\u200fright \u202eto left\u202c", "nul\0here", "lone\ud800 surrogate", "5 km, 20% and 1,234.5 kg", "a\rb", "c\r\nd", "e\x0bf\x0cg\x85h", "x" * 130 + " y", "…", "?!?!", "\\", "e.g. Mr. X",
)  # fmt: skip
"""Every construct that Markdown has, opened or closed at random."""

MARKDOWN = st.builds(
    lambda lines, ends: "".join(line + end for line, end in zip(lines, ends, strict=False)),
    st.lists(st.sampled_from(LINES), max_size=14),
    st.lists(st.sampled_from(["\n", "\n", "\n", "\n\n", "\r\n", "\r", ""]), min_size=14, max_size=14),
)
"""Texts of such lines, with endings of every kind."""

MEGABYTE = 1_000_000
UNITS = (
    "a", "word ", "word. ", ".", "! ", "…", " ", "> ", ">", "- ", "*", "**a", "`", "` ``  ```", "$a ", "$$ ", "\\( ", "\\[ x ", "<a ", "<", "<!-- ", "[", "[a](", "[a](b) ", "{", "_", "a_",
    "a.", "a@", "http://.", "|", "| a ", "1,", "1. ", "1%", "/a", "/", "\\a", "&a", "a. ", "a; ", "f()", "#", "# a #", "XQ1Z", "a\u200b", "\0", "\ud800 ", "\u2028", "。",
)  # fmt: skip
"""What a line of a megabyte can be made of to make a parser slow."""
