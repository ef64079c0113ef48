"""A preview of training rows with their loss mask: the cheapest way to see a wrong template or a masked end token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from foundation.stages import Stage, Workplace, resolve_inputs, setup_of
from training.builds.examples import prepare
from training.errors import TrainingError

PREVIEWED = ("instruction_model", "chat_model", "evalita_model")


def preview_rows(stage: Stage, workplace: Workplace, graph: Mapping[str, Stage], *, rows: int) -> Iterator[list[tuple[str, bool]]]:
    """The first examples of a fine-tuned model as pieces of text, each with whether its tokens carry loss.

    Raises:
        TrainingError: the asset trains on no examples.
        NotPublished: its inputs are not made yet.
    """
    if stage.asset not in PREVIEWED:
        raise TrainingError(f"{stage.asset} has no examples to preview; name one of {list(PREVIEWED)}")
    inputs = resolve_inputs(stage, graph, workplace, None)
    prepared = prepare(stage.asset, setup_of(stage, workplace, None).settings, inputs, workplace.seed)
    for ids, wanted in prepared.examples.items[:rows]:
        pairs = zip(ids, wanted, strict=True)
        yield [(str(prepared.tokenizer.decode([token for token, _ in group])), loss) for loss, group in groupby(pairs, key=lambda pair: pair[1])]
