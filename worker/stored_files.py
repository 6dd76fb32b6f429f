"""What lies in the folder of one job in a store, on a disk or in an object store: counted and removed alike."""

import contextlib
import errno
import os
from dataclasses import dataclass

from oddlot.errors import ObjectTrouble, StoreError
from oddlot.places import ObjectPath, Place


@dataclass(frozen=True)
class StoredFile:
    """One file of a store; `listed_bytes` is known of an object, and asked for of a file."""

    name: str
    place: Place
    listed_bytes: int | None = None

    def size(self) -> int:
        """In bytes. Raises OSError."""
        return os.lstat(str(self.place)).st_size if self.listed_bytes is None else self.listed_bytes

    def remove(self) -> None:
        """Raises OSError."""
        if isinstance(self.place, ObjectPath):
            from oddlot import objects

            try:
                objects.remove_object(self.place)
            except (ObjectTrouble, StoreError) as error:
                raise OSError(errno.EIO, str(error)) from None
        else:
            os.unlink(self.place)


def stored_files(folder: Place) -> list[StoredFile]:
    """What a folder holds, folders in it, too; nothing where there is none. Raises OSError where it cannot be read."""
    if isinstance(folder, ObjectPath):
        from oddlot import objects

        found = []
        try:
            for one in objects.list_objects(folder, deep=False):
                if isinstance(one, objects.ListedPrefix):
                    found.append(StoredFile(one.prefix.rstrip("/").rpartition("/")[2], folder))
                else:
                    name = one.key.rpartition("/")[2]
                    found.append(StoredFile(name, ObjectPath(f"{folder}/{name}"), one.size))
        except ObjectTrouble as trouble:
            if not trouble.missing:
                raise OSError(errno.EIO, str(trouble)) from None
        except StoreError as error:
            raise OSError(errno.EIO, str(error)) from None
        return found
    try:
        with os.scandir(folder) as entries:
            return [StoredFile(entry.name, folder / entry.name) for entry in entries]
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_folder(folder: Place) -> None:
    """Remove a folder that is empty; in an object store there are none."""
    if not isinstance(folder, ObjectPath):
        with contextlib.suppress(OSError):  # something is kept in it, or it is not there
            os.rmdir(folder)
