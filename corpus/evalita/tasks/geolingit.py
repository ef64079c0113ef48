"""GeoLingIt, EVALITA 2023: from which region of Italy (A), and from which place (B), was a tweet in a local variety written?

Format: TSV in which quotes are text. Cross-posts are found by their text. Metrics (``eval.py``): macro F1 over regions;
mean distance in kilometres.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from corpus.evalita.answers.choice import ChoiceAnswer
from corpus.evalita.answers.numbers import NumbersAnswer, Scale
from corpus.evalita.baselines import MAJORITY, RANDOM, mean_number
from corpus.evalita.formats.tables import filled, number_in, one_of, unquoted
from corpus.evalita.metrics.classification import macro_f1
from corpus.evalita.metrics.metric import Metric, mean_of_items, of_sums
from corpus.evalita.task import Access, Baseline, Item, Label, Split, Task, TaskFile, Wording

FOLDER = "evalita/geolingit"
SPLITS: tuple[Split, ...] = ("train", "dev", "test")
REGIONS = (
    "Abruzzo", "Basilicata", "Calabria", "Campania", "Emilia Romagna", "Friuli-Venezia Giulia", "Lazio", "Liguria", "Lombardia", "Marche", "Molise",
    "Piemonte", "Puglia", "Sardegna", "Sicilia", "Toscana", "Trentino-Alto Adige", "Umbria", "Valle d'Aosta", "Veneto",
)  # fmt: skip
LATITUDE, LONGITUDE = Scale(35, 48), Scale(6, 19)
"""Italy lies between 35.4 and 47.1 degrees north and 6.6 and 18.6 degrees east."""
EARTH_RADIUS_KM = 6371.0088
"""Mean radius (IUGG), that of the ``haversine`` package."""
LICENCE = "none stated"


def _file(part: str, split: Split) -> str:
    return f"{FOLDER}/subtask_{part}/{split}_{part}.tsv"


def reader(name: str, part: str, columns: Sequence[str], label: Callable[[Path, int, Mapping[str, str]], Label]) -> Callable[[Mapping[str, Path]], Iterator[Item]]:
    """A reader of one sub-task; a tweet of both is one group."""

    def read(files: Mapping[str, Path]) -> Iterator[Item]:
        for split, path in ((split, files[_file(part, split)]) for split in SPLITS if _file(part, split) in files):
            for number, row in unquoted(path, ("id", "text", *columns)):
                text = filled(path, number, "text", row["text"])
                yield Item(f"{name}/{split}/{row['id']}", split, f"geolingit/{row['id']}", {"text": text}, label(path, number, row), LICENCE)

    return read


def region(path: Path, number: int, row: Mapping[str, str]) -> str:
    """The region, in the organisers' spelling."""
    return one_of(path, number, "region", row["region"], REGIONS)


def coordinates(path: Path, number: int, row: Mapping[str, str]) -> list[float]:
    """Latitude and longitude in degrees."""
    return [
        number_in(path, number, "latitude", row["latitude"], LATITUDE.low, LATITUDE.high),
        number_in(path, number, "longitude", row["longitude"], LONGITUDE.low, LONGITUDE.high),
    ]


def kilometres(one: Sequence[float], other: Sequence[float]) -> float:
    """Great-circle distance of two places given as latitude and longitude in degrees (haversine)."""
    (lat1, lon1), (lat2, lon2) = ([math.radians(value) for value in place] for place in (one, other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half))


def distance(_fields: Mapping[str, Any], gold: Sequence[float], prediction: Sequence[float] | None) -> np.ndarray:
    """Kilometres of one item; a failed answer counts as the farthest corner of the box that answers may lie in."""
    corners = [[lat, lon] for lat in (LATITUDE.low, LATITUDE.high) for lon in (LONGITUDE.low, LONGITUDE.high)]
    return np.array([max(kilometres(gold, corner) for corner in corners) if prediction is None else kilometres(gold, prediction), 1.0])


def _task(name: str, title: str, part: str, read: Callable[[Mapping[str, Path]], Iterator[Item]], wording: Wording, metric: Metric, baselines: tuple[Baseline, ...]) -> Task:
    return Task(
        name=name,
        title=f"GeoLingIt (EVALITA 2023), {title}",
        files=tuple(TaskFile(_file(part, split), optional=split == "test") for split in SPLITS),
        read=read,
        wordings=(wording,),
        metrics=(metric,),
        texts=lambda fields: (fields["text"],),
        baselines=baselines,
        licences=(LICENCE,),
        access=Access("request", "https://github.com/dhfbk/diatopit"),
        source="dhfbk/geolingit-evalita2023",
        revision="3065524",
        unverified=("the files' names, and the spelling of columns and regions", "13,669 training, 552 development and 818 test rows"),
    )


TASKS = (
    _task(
        "geolingit_a",
        "A: region",
        "a",
        reader("geolingit_a", "a", ("region",), region),
        Wording(
            name="own",
            source="Transumanza",
            instruction=f"Di quale regione italiana è la parlata del testo? Rispondi con il solo nome della regione, tra queste: {', '.join(REGIONS)}.",
            input="{text}",
            answer=ChoiceAnswer({name: name for name in REGIONS}),
        ),
        macro_f1(REGIONS),
        (MAJORITY, RANDOM),
    ),
    _task(
        "geolingit_b",
        "B: coordinates",
        "b",
        reader("geolingit_b", "b", ("latitude", "longitude"), coordinates),
        Wording(
            name="own",
            source="Transumanza",
            instruction=(
                "Da quale luogo d'Italia viene chi ha scritto il testo? Rispondi con la latitudine e la longitudine in gradi, in questa forma: latitudine 41,9; longitudine 12,5."
            ),
            input="{text}",
            answer=NumbersAnswer({"latitudine": LATITUDE, "longitudine": LONGITUDE}),
        ),
        Metric("mean_kilometres", distance, of_sums(mean_of_items), higher_is_better=False, optimum=0.0),
        (mean_number(list),),
    ),
)
