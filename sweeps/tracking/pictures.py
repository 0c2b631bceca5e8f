"""Panels as MLflow's chart view wants them: a key with a step slider, each picture once.

`MlflowClient.log_image` names its files at random, so a picture sent again would stand there
twice. Here the name follows from key, step and the time of the epoch, in MLflow's own form.
"""

import logging
import shutil
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

FOLDER = "images"
SMALL, STAMP = "+compressed.webp", "+timestamp+"
TAG = "mlflow.loggedImages"
THUMBNAIL_PIXELS = 256


@dataclass(frozen=True)
class Picture:
    """A PNG of one epoch, its path relative to the sweep's folder."""

    key: str
    epoch: int
    path: str
    timestamp: int
    """Milliseconds; of its epoch."""

    @property
    def step(self) -> str:
        """How the names of this key and step begin, whoever gave them."""
        return f"{self.key.replace('/', '~')}+step+{self.epoch}"

    @property
    def stem(self) -> str:
        """The name that MLflow's pages take apart."""
        own = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.key} {self.epoch}")
        return f"{self.step}{STAMP}{self.timestamp}+{own}"


def send_pictures(
    client: MlflowClient, run_id: str, pictures: Sequence[Picture], folder: Path
) -> None:
    """Send those that the run has not; one whose file is gone, or damaged, is passed over."""
    there = {Path(f.path).name: f.file_size for f in client.list_artifacts(run_id, FOLDER)}
    own = {f"{picture.stem}{end}" for picture in pictures for end in (".png", SMALL)}
    others = {n.partition(STAMP)[0] for n in there if n.endswith(SMALL) and n not in own}
    with tempfile.TemporaryDirectory() as temporary:
        for picture in pictures:
            source = folder / picture.path
            whole, small = f"{picture.stem}.png", f"{picture.stem}{SMALL}"
            if not source.exists() or picture.step in others:  # sent by `log_image` once
                continue
            if small in there and there.get(whole) == source.stat().st_size:
                continue  # of another size is one that a kill cut off
            if image := _thumbnail(source):
                image.save(Path(temporary) / small, "WEBP")
                shutil.copyfile(source, Path(temporary) / whole)
        if any(Path(temporary).iterdir()):
            client.log_artifacts(run_id, temporary, FOLDER)
            client.set_tag(run_id, TAG, "True")


def _thumbnail(source: Path) -> "Image | None":
    """The picture made small; None where it cannot be read, as after a power cut."""
    from PIL import Image

    try:
        with Image.open(source) as image:
            image.thumbnail((THUMBNAIL_PIXELS, THUMBNAIL_PIXELS))
            return image.copy()
    except (OSError, SyntaxError, ValueError) as error:
        log.warning("%s is not sent to tracking: %s", source, error)
        return None
