"""A provider of Inspect that does what a test says."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from scripted_provider import Flaky, Script


@pytest.fixture(scope="session")
def provider() -> Script:
    from inspect_ai.model import ModelAPI, ModelOutput, ModelUsage, modelapi

    script = Script()

    @modelapi(name="scripted")
    def scripted() -> type[ModelAPI]:
        class Scripted(ModelAPI):
            async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> Any:
                script.calls.append(input[-1].text)
                script.configs.append(config)
                script.busy += 1
                script.busiest = max(script.busiest, script.busy)
                try:
                    await asyncio.sleep(0)
                    answer = script.answer(input[-1].text)
                    if inspect.isawaitable(answer):
                        answer = await answer
                finally:
                    script.busy -= 1
                if isinstance(answer, ModelOutput):
                    return answer
                output = ModelOutput.from_content(self.model_name, answer)
                output.usage = ModelUsage(input_tokens=11, output_tokens=4, total_tokens=15)
                return output

            def check_judging(self, prompts: Any) -> None:
                script.refuse(prompts)

            def should_retry(self, ex: Exception) -> bool:
                return isinstance(ex, Flaky)

            def retry_wait(self) -> Any:
                from tenacity import wait_none

                return wait_none()

            def max_connections(self) -> int:
                return 8

        return Scripted

    return script


@pytest.fixture
def script(provider: Script) -> Iterator[Script]:
    provider.__init__()  # type: ignore[misc]
    yield provider
