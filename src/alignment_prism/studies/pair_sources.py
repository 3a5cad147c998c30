"""Where the preference pairs of a study come from."""

from __future__ import annotations

from pydantic import model_validator

from alignment_prism.studies.parts import Files, Part


class PairsSource(Part):
    """Where preference pairs come from.

    Attributes:
        safety: `nano`, or files that `prism mix` reads; none beside a build unless it names some.
        general: as well.
        build: spec of a build of pairs, a file or a preset, whose steps the study does first; its pairs are added to
            the pools, and nothing in them is near the study's prompts.
    """

    safety: Files = ("nano",)
    general: Files = ("nano",)
    build: str | None = None

    @model_validator(mode="after")
    def _built_alone(self) -> PairsSource:
        if self.build is not None and "safety" not in self.model_fields_set:
            object.__setattr__(self, "safety", ())  # the spec is frozen once it is made
        return self
