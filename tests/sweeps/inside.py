"""Inside the workers of a Ray under test: what they really train is noted. Light to import.

Ray itself offers the way in, and the product knows nothing of it: RAY_RUNTIME_ENV_HOOK names a
function that changes the environment of all workers, which may name a function to call in each.
"""

import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

LOG, PAUSE = "PCT_TEST_EPOCHS", "PCT_TEST_PAUSE_SECONDS"


def into_workers(runtime_env: dict | None) -> dict:
    """Called by `ray.init`."""
    given = dict(runtime_env or {})
    own = {name: os.environ[name] for name in (LOG, PAUSE, "PYTHONPATH")}
    variables = {**given.get("env_vars", {}), **own}
    hook = f"{__name__}.install"
    return {**given, "env_vars": variables, "worker_process_setup_hook": hook}


def install() -> None:
    """Called in each worker as it starts."""
    when_imported("pct.train", _log_epochs)


def when_imported(name: str, change: Callable[[ModuleType], None]) -> None:
    """Change a module once it is imported, if ever: a worker may not need it, and torch is slow."""
    sys.meta_path.insert(0, _When(name, change))


class _When:
    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name, self._change = name, change

    def find_spec(self, name, path=None, target=None):
        if name != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def execute_and_change(module) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = execute_and_change
        return spec


def _log_epochs(module: ModuleType) -> None:
    train_epoch = module.train_epoch

    def train(state, run, table, **how):
        if module.rank() == 0:
            with Path(os.environ[LOG]).open("a") as log:
                log.write(f"{epoch_key(run, state.epoch + 1)} {os.getpid()} {time.time()}\n")
        terms = train_epoch(state, run, table, **how)
        time.sleep(float(os.environ[PAUSE]))
        return terms

    module.train_epoch = train


def epoch_key(run, epoch: int) -> str:
    """Names the epoch of a run; equal for all that share it."""
    from sweeps.courses import course_of, identity

    return course_of("", run, identity(run, {})).key(epoch)
