"""`init: MODEL`: a run whose generator starts from a given model, and whom that model has seen."""

import hashlib
from pathlib import Path

from data_prep.shards import list_cases, read_manifest
from pct.config import Run
from pct.learning import Given
from pct.model import BadModel, Model, find_model, load_model
from pct.networks import Generator


def settle_init(init: Given) -> Given:
    """Its model found and its weights' digest noted, which is what the run's identity holds.

    A model whose card does not say whom it has seen raises `BadModel`.
    """
    folder = find_model(init.model).resolve()
    model = load_model(folder)
    _seen_by(model, init)
    return Given(model=str(folder), digest=identity_of(model.generator))


def load_given(init: Given, generator: Generator) -> None:
    """Give the generator the model's weights, after a check that they are those of `settle_init`.

    Networks of another shape, or weights changed meanwhile, raise `BadModel`.
    """
    given = load_model(Path(init.model)).generator
    if identity_of(given) != init.digest:
        raise BadModel(
            f"{init.model}: its weights have changed since this run began. Give the model that "
            "it began with, or begin another run."
        )
    try:
        generator.load_state_dict(given.state_dict())
    except RuntimeError as error:
        first = " ".join(str(error).split("\n", 2)[:2])
        raise BadModel(
            f"{init.model}: does not fit the run's generator: {first} Set generator.* as its "
            "model.json has them."
        ) from error


def trained_on(run: Run, data: Path) -> list[str]:
    """Every case that the run's generator has learnt from: this data's, and the given model's."""
    cases = set(list_cases(data, "train"))
    if run.init:
        cases |= _seen_by(_model_of(run.init), run.init)
    return sorted(cases)


def id_keys(run: Run, data: Path) -> list[str]:
    """What the ids of `trained_on` were made with, as the manifest has it: ids of one key compare.

    `unknown` where the given model's card does not say.
    """
    keys = {str(read_manifest(data).settings["id_key"])}
    if run.init:
        keys |= set(_model_of(run.init).card.get("id_keys", ["unknown"]))
    return sorted(keys)


def _model_of(init: Given) -> Model:
    """The given model, which must still be the one that the run began with."""
    model = load_model(Path(init.model))
    if init.digest and identity_of(model.generator) != init.digest:
        raise BadModel(
            f"{init.model}: holds another model than the one that this run began with, so nobody "
            "can tell which cases that one had seen. Put it back."
        )
    return model


def _seen_by(model: Model, init: Given) -> set[str]:
    if "trained_on" not in model.card:
        raise BadModel(
            f"{init.model}: its card does not say which cases it was trained on, so nobody could "
            "tell a validation case that it has seen. Promote or train it anew."
        )
    return set(model.card["trained_on"])


def identity_of(generator: Generator) -> str:
    """sha256 over names and values of all weights.

    Stored runs hold it in their identity, as the test set's ledger holds `pct.model.weights_digest`
    of values alone: neither can become the other without orphaning what is stored.
    """
    digest = hashlib.sha256()
    for name, value in sorted(generator.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()
