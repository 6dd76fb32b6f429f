"""The calls of S3, each tried again while the store, and not what is asked for, is at fault."""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import s3fs
from fsspec.asyn import sync

from oddlot import object_faults
from oddlot.errors import ObjectTrouble, StoreError
from oddlot.object_faults import Passing
from oddlot.settings import Settings

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
CONNECT_SECONDS, SILENT_SECONDS = 5.0, 15.0
"""How long a connection may take, and how long one may say nothing."""
IMPATIENT_SECONDS = 5.0
"""After a call was given up, those that follow are not tried again for so long: pages must not hang on each picture."""
CONNECTIONS = 64
PAGE = 1000
"""Objects in one answer with a list: more than that no server gives."""


class Calls:
    """One connection to the store of the settings, for all threads of this process."""

    def __init__(self, settings: Settings, patience: float) -> None:
        # A picture that is read for longer than that has its process ended, as it would for a share that hangs.
        self._patience = min(patience, settings.picture_seconds / 3)
        self._longest = settings.picture_seconds / 2
        self._impatient_until = 0.0
        if settings.s3_ca and not os.path.isfile(settings.s3_ca):
            raise StoreError(f"ODDLOT_S3_CA names {settings.s3_ca}, which is not a file")
        own: dict[str, Any] = {"verify": settings.s3_ca} if settings.s3_ca else {}
        self._files = s3fs.S3FileSystem(
            endpoint_url=settings.s3_endpoint or None, client_kwargs=own, skip_instance_cache=True,
            config_kwargs={
                "connect_timeout": min(CONNECT_SECONDS, self._patience),
                "read_timeout": min(SILENT_SECONDS, self._patience),
                "max_pool_connections": CONNECTIONS,
                "retries": {"total_max_attempts": 1},
                # Servers of one's own seldom have a name for every bucket, and the older ones know no checksums.
                "s3": {"addressing_style": "path" if settings.s3_endpoint else "auto"},
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
        )  # fmt: skip
        self._where = settings.s3_endpoint or "Amazon S3"

    def get(self, bucket: str, key: str, most: int, size: int | None, etag: str | None) -> bytes:
        """The bytes of an object that has that size and etag, if given, and at most so many bytes."""
        condition = {} if etag is None else {"IfMatch": f'"{etag}"'}

        async def attempt(client: Any) -> bytes:
            answer = await client.get_object(Bucket=bucket, Key=key, **condition)
            async with answer["Body"] as body:
                length = int(answer["ContentLength"])
                if (size is not None and length != size) or (etag is not None and answer["ETag"].strip('"') != etag):
                    raise ObjectTrouble(object_faults.CHANGED)  # by a server that knows no conditions
                if length > most:
                    raise ObjectTrouble(f"the file has {length} bytes, more than the limit of {most}")
                data: bytes = await body.read()
            if len(data) != length:
                raise Passing(f"the store broke off after {len(data)} of {length} bytes")
            return data

        return self._call(bucket, attempt)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self._call(bucket, lambda client: client.put_object(Bucket=bucket, Key=key, Body=data))

    def delete(self, bucket: str, key: str) -> None:
        self._call(bucket, lambda client: client.delete_object(Bucket=bucket, Key=key))

    def page(
        self, bucket: str, prefix: str, token: str | None, delimiter: str, most: int | None = None
    ) -> dict[str, Any]:
        """One page of the list of what begins with `prefix`."""
        wanted: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": most or PAGE}
        wanted |= {"ContinuationToken": token} if token else {}
        wanted |= {"Delimiter": delimiter} if delimiter else {}
        found: dict[str, Any] = self._call(bucket, lambda client: client.list_objects_v2(**wanted), probe=False)
        return found

    def close(self) -> None:
        client = self._files._s3
        if client is not None:
            sync(self._files.loop, client.close)

    def _call(self, bucket: str, attempt: Callable[[Any], Awaitable[T]], *, probe: bool = True) -> T:
        result: T = sync(self._files.loop, self._until_it_answers, bucket, attempt, probe)
        return result

    async def _until_it_answers(self, bucket: str, attempt: Callable[[Any], Awaitable[T]], probe: bool) -> T:
        """Raises ObjectTrouble for what no patience would mend, StoreError where the store did not answer in time."""
        end = time.monotonic() + (self._patience if time.monotonic() > self._impatient_until else 0.0)
        pause, attempts = FIRST_PAUSE, 1
        while True:
            try:
                return await self._once(attempt)
            except Passing as fault:
                # Not all at the same moment: what was too much at once would be so again.
                wait = pause * random.uniform(0.5, 1.0)
                if time.monotonic() + wait > end:
                    return await self._last(bucket, attempt, fault, attempts, probe)
                await asyncio.sleep(wait)
                pause, attempts = min(LONGEST_PAUSE, 2 * pause), attempts + 1

    async def _last(
        self, bucket: str, attempt: Callable[[Any], Awaitable[T]], fault: Passing, attempts: int, probe: bool
    ) -> T:
        """The end of patience. A store that has answers for others has trouble with this object alone."""
        if probe and not fault.crowded and time.monotonic() > self._impatient_until:
            try:
                await self._once(lambda client: client.list_objects_v2(Bucket=bucket, MaxKeys=1))
            except (Passing, ObjectTrouble):
                pass
            else:
                try:
                    return await self._once(attempt)
                except Passing as still:
                    raise ObjectTrouble(f"the store does not give it, though it answers otherwise: {still}") from None
        self._impatient_until = time.monotonic() + IMPATIENT_SECONDS
        raise StoreError(f"the object store at {self._where} does not answer: {fault} (attempts: {attempts})")

    async def _once(self, attempt: Callable[[Any], Awaitable[T]]) -> T:
        try:
            client = await self._files.set_session()
            return await asyncio.wait_for(attempt(client), self._longest)
        except (ObjectTrouble, Passing):
            raise
        except Exception as error:
            raise object_faults.of(error, self._where) from None
