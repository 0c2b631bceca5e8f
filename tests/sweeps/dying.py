"""An MLflow client that dies between calls, as the program that makes them would."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from mlflow import MlflowClient

WRITES = (
    "create_registered_model", "create_logged_model", "log_model_artifacts", "log_outputs",
    "finalize_logged_model", "create_model_version", "set_logged_model_tags",
    "set_model_version_tag", "update_model_version", "set_registered_model_alias",
    "delete_registered_model_alias",
)  # fmt: skip


@contextmanager
def dying_after(calls: int) -> Iterator[list[str]]:
    """Meanwhile so many writing calls are made, and whatever comes next does not happen.

    Yields the names of the calls as they are asked for. Where fewer are made, the end is that.
    """
    asked: list[str] = []

    def mortal(name, call):
        def dies(*args, **kwargs):
            asked.append(name)
            if len(asked) > calls:
                raise KeyboardInterrupt
            return call(*args, **kwargs)

        return dies

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITES:
            patch.setattr(MlflowClient, name, mortal(name, getattr(MlflowClient, name)))
        yield asked
