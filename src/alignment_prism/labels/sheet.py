"""The sheet that people label: both replies of every drawn prompt, in random order, without arm or verdict."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from alignment_prism.domain import Generation, InputError, Prompt
from alignment_prism.labels.frame import FrameRow


def sheet_lines(
    rows: Sequence[FrameRow], replies: Mapping[str, Generation], prompts: Mapping[str, Prompt], seed: int
) -> list[dict[str, str]]:
    """One line a reply; a reply that both arms gave comes once.

    Args:
        rows: the drawn prompts.
        replies: by the digest of prompt and reply.
        prompts: by identifier.
        seed: of the order.

    Raises:
        InputError: a reply that was judged is not among the replies.
    """
    languages = {digest: row.language for row in rows for digest in (row.model_digest, row.base_digest)}
    prompt_of = {digest: row.prompt_id for row in rows for digest in (row.model_digest, row.base_digest)}
    digests = sorted(languages)
    random.Random(seed).shuffle(digests)
    lines = []
    for item, digest in enumerate(digests, start=1):
        if digest not in replies:
            raise InputError(
                f"reply {digest} to prompt {prompt_of[digest]} was judged but is in no generations file",
                fix="pass the generations that the scores are of",
            )
        prompt = prompts.get(prompt_of[digest])
        lines.append(
            {
                "item": str(item),
                "reply_digest": digest,
                "language": languages[digest],
                "prompt": prompt.text if prompt is not None else "",
                "reply": replies[digest].reply,
                "annotator": "",
                "label": "",
                "comment": "",
            }
        )
    return lines
