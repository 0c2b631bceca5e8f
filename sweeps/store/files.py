"""Files below one root, on disk or in an object store: whole or not there, and durable on disk.

An object store shows an object only once it is whole. On disk that takes a temporary name, and
`fsync` before the name that counts: else a power cut may leave a name without its content.
"""

import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pyarrow import ArrowInvalid, fs

from sweeps.store.patience import StoreError

OBJECT_STORES = ("s3", "gcs", "abfs")
NO_HARD_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True)
class Seen:
    """A file as a listing shows it."""

    path: str
    """Below the root."""
    bytes: int
    modified: float
    """Unix time."""

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Files:
    """Files below `root`; all paths are relative to it. What fails raises `OSError`."""

    filesystem: fs.FileSystem
    root: str
    local: bool

    def exist(self, paths: Sequence[str]) -> list[bool]:
        """Which of these are files."""
        infos = self.filesystem.get_file_info([self._at(path) for path in paths])
        return [info.type == fs.FileType.File for info in infos]

    def read(self, path: str) -> bytes:
        """A file's content."""
        with self.filesystem.open_input_file(self._at(path)) as file:
            content: bytes = file.readall()
            return content

    def write(self, path: str, content: bytes) -> None:
        """Write in place and not durably: for names that nobody reads yet. See `sync`."""
        self.make_folder(path.rpartition("/")[0])
        self._write(path, content)

    def make_folder(self, folder: str) -> None:
        """Make a folder, if it is not there, and those above it; object stores have none."""
        if not self.local:
            return
        place = Path(self._at(folder))
        try:
            self.filesystem.create_dir(str(place), recursive=True)
        except FileExistsError as error:  # something was there, and when looked at is no folder
            if place.exists() and not place.is_dir():
                raise
            raise OSError(errno.EAGAIN, f"{place} was removed just now") from error

    def sync(self, paths: Iterable[str]) -> None:
        """Have these files, their names and those of their folders outlast a power cut."""
        files = [Path(self._at(path)) for path in paths]
        folders = {at for file in files for at in file.parents if at.is_relative_to(self.root)}
        self._sync(*files, *sorted(folders, reverse=True))

    def create(self, path: str, content: bytes) -> bool:
        """Put a whole, durable file there unless there is one: False. Of two writers one wins.

        Its folder must be there: a folder of the same path below an empty mount point is not.
        """
        if not self.local:
            return not self.exist([path])[0] and self.replace(path, content)
        temporary = self._temporary(path, content)
        try:
            os.link(self._at(temporary), self._at(path))
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            if self.exist([path])[0]:
                return False
            os.rename(self._at(temporary), self._at(path))
        finally:
            with suppress(OSError):
                os.unlink(self._at(temporary))
        self._sync(Path(self._at(path)).parent)
        return True

    def replace(self, path: str, content: bytes) -> bool:
        """Put a whole, durable file there, whatever was there."""
        if self.local:
            self.make_folder(path.rpartition("/")[0])
            temporary = self._temporary(path, content)
            os.rename(self._at(temporary), self._at(path))
            self.sync([path])
        else:
            self._write(path, content)
        return True

    def move(self, path: str, to: str) -> None:
        """Give a file another name, in a folder that is there; in an object store, a copy."""
        self.filesystem.move(self._at(path), self._at(to))

    def remove(self, path: str) -> bool:
        """Remove a file; False where it is gone already."""
        try:
            self.filesystem.delete_file(self._at(path))
        except FileNotFoundError:
            return False
        return True

    def remove_empty(self, folder: str) -> None:
        """Remove a folder if nothing is in it; object stores have none."""
        if self.local:
            with suppress(OSError):
                os.rmdir(self._at(folder))

    def listing(self, folder: str = "", *, below: bool = True) -> list[Seen]:
        """The files in a folder and, if asked, in those below it. None where there is no folder."""
        infos = self._infos(folder, below=below)
        return [
            Seen(self._below(info.path), info.size, info.mtime_ns / 1e9)
            for info in infos
            if info.type == fs.FileType.File
        ]

    def folders(self) -> list[str]:
        """Names of the folders right below the root."""
        infos = self._infos("", below=False)
        return sorted(self._below(i.path) for i in infos if i.type == fs.FileType.Directory)

    def free_bytes(self) -> int | None:
        """Room left on the disk; None for object stores and disks that do not answer."""
        place = next((p for p in (Path(self.root), *Path(self.root).parents) if p.exists()), None)
        return shutil.disk_usage(place).free if self.local and place else None

    def _infos(self, folder: str, *, below: bool) -> list[fs.FileInfo]:
        selector = fs.FileSelector(self._at(folder), recursive=below, allow_not_found=True)
        infos: list[fs.FileInfo] = self.filesystem.get_file_info(selector)
        return infos

    def _write(self, path: str, content: bytes) -> None:
        with self.filesystem.open_output_stream(self._at(path)) as file:
            file.write(content)

    def _temporary(self, path: str, content: bytes) -> str:
        temporary = f"{path}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            self._write(temporary, content)
            self._sync(Path(self._at(temporary)))
        except OSError:
            with suppress(OSError):
                os.unlink(self._at(temporary))
            raise
        return temporary

    def _sync(self, *places: Path) -> None:
        for place in places if self.local else ():
            handle = os.open(place, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    def _at(self, path: str) -> str:
        return str(PurePosixPath(self.root) / path)

    def _below(self, path: str) -> str:
        return str(PurePosixPath(path).relative_to(self.root))


def open_root(root: str) -> Files:
    """The files below a folder, or below a URI such as s3://bucket/stages?region=eu-west-1."""
    if "://" not in root:
        return Files(fs.LocalFileSystem(), str(Path(root).resolve()), True)
    try:
        filesystem, path = fs.FileSystem.from_uri(root)
    except (ArrowInvalid, OSError) as error:
        raise StoreError(f"--store {root}: {error}. Give a folder or s3://...") from error
    local = isinstance(filesystem, fs.LocalFileSystem)
    if not local and filesystem.type_name not in OBJECT_STORES:
        raise StoreError(
            f"--store {root}: {filesystem.type_name} is neither a folder nor an object store. "
            "Give a folder or s3://..."
        )
    return Files(filesystem, path, local)
