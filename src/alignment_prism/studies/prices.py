"""What models and machines cost: the table that ships, `prices.yaml`, or a user's own."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field

from alignment_prism.calls.budget import IN_BATCHES, Price
from alignment_prism.io.yaml import YamlDocument, validated
from alignment_prism.studies.parts import Part

Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Dollars = Annotated[float, Field(ge=0)]

LAB = "nano/"
"""How the ids of the lab's own actors begin, which are free."""


class Gpu(Part):
    """A GPU: see `prices.yaml`."""

    name: str
    tflops: Positive
    training: Share
    replies: Share
    per_hour: Dollars


class Prices(Part):
    """What things cost: see `prices.yaml`."""

    gpu: Gpu
    models: dict[str, tuple[Dollars, Dollars]]
    batch: dict[str, Share] = Field(default_factory=dict)
    parameters: dict[str, Positive] = Field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """US dollars of a million tokens that a model reads, and writes; None where no price is known.

        Args:
            model: Inspect id. A key of the table may hold `*`; the id itself counts before any of these, and of
                these the longest. After `batch:`, what a call costs through the provider's batch API: a share of that.

        Example:
            >>> prices = load_prices()
            >>> prices.of("nano/oracle"), prices.of("openai/gpt-4o"), prices.of("batch:openai/gpt-4o")
            ((0.0, 0.0), (2.5, 10.0), (1.25, 5.0))
        """
        if model.startswith(LAB):
            return 0.0, 0.0
        if model.startswith(IN_BATCHES):
            model = model.removeprefix(IN_BATCHES)
            alone, key = self.of(model), _fitting(self.batch, model)
            return None if alone is None or key is None else (alone[0] * self.batch[key], alone[1] * self.batch[key])
        key = _fitting(self.models, model)
        return None if key is None else self.models[key]


def _fitting(keys: Iterable[str], model: str) -> str | None:
    fitting = [key for key in keys if key == model or ("*" in key and fnmatchcase(model, key))]
    return max(fitting, key=lambda key: (key == model, len(key)), default=None)


def load_prices(path: str | Path | None = None) -> Prices:
    """Prices of a YAML file, those that ship if none is named. What a file leaves out is as in those that ship.

    Raises:
        InputError: with file, line, key and value.
    """
    text = resources.files("alignment_prism.studies").joinpath("prices.yaml").read_text(encoding="utf-8")
    shipped = YamlDocument(text, "prices.yaml")
    table = validated(Prices, shipped.mapping(fix="begin with: gpu:"), shipped)
    if path is None:
        return table
    source = YamlDocument.from_file(path)
    given = source.mapping(fix="write: models: {openai/gpt-4o: [2.5, 10]}")
    whole = {"gpu": table.gpu.model_dump(), "models": {}, **given}
    found = validated(Prices, whole, source)
    tables = {key: {**getattr(table, key), **getattr(found, key)} for key in ("models", "batch", "parameters")}
    return found.model_copy(update=tables)
