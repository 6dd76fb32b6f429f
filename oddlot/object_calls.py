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
                "connect_timeout": min(CONNECT_SECONDS, self._patience / 2),
                "read_timeout": min(SILENT_SECONDS, self._patience / 2),
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

        return self._call(attempt, lambda client: self._another(client, bucket, key))

    def put(self, bucket: str, key: str, data: bytes) -> None:
        self._call(lambda client: client.put_object(Bucket=bucket, Key=key, Body=data))

    def delete(self, bucket: str, key: str) -> None:
        self._call(lambda client: client.delete_object(Bucket=bucket, Key=key))

    def page(
        self, bucket: str, prefix: str, token: str | None, delimiter: str, most: int | None = None
    ) -> dict[str, Any]:
        """One page of the list of what begins with `prefix`."""
        wanted: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": most or PAGE}
        wanted |= {"ContinuationToken": token} if token else {}
        wanted |= {"Delimiter": delimiter} if delimiter else {}
        found: dict[str, Any] = self._call(lambda client: client.list_objects_v2(**wanted))
        return found

    def close(self) -> None:
        client = self._files._s3
        if client is not None:
            sync(self._files.loop, client.close)

    def _call(
        self, attempt: Callable[[Any], Awaitable[T]], another: Callable[[Any], Awaitable[None]] | None = None
    ) -> T:
        """`another` is a read of something else, by which the trouble of one object is told from that of all."""
        result: T = sync(self._files.loop, self._until_it_answers, attempt, another)
        return result

    async def _until_it_answers(
        self, attempt: Callable[[Any], Awaitable[T]], another: Callable[[Any], Awaitable[None]] | None
    ) -> T:
        """Raises ObjectTrouble for what no patience would mend, StoreError where the store did not answer in time."""
        patient = time.monotonic() > self._impatient_until
        end = time.monotonic() + (self._patience if patient else 0.0)
        pause, attempts = FIRST_PAUSE, 1
        while True:
            try:
                return await self._once(attempt)
            except Passing as error:
                fault = error
            # Not all at the same moment: what was too much at once would be so again.
            wait = pause * random.uniform(0.5, 1.0)
            if time.monotonic() + wait > end:
                break
            await asyncio.sleep(wait)
            pause, attempts = min(LONGEST_PAUSE, 2 * pause), attempts + 1
        if patient and another is not None and await self._succeeds(another):
            try:
                return await self._once(attempt)
            except Passing as still:
                raise ObjectTrouble(f"the store does not give it, though it gives others: {still}") from None
        self._impatient_until = time.monotonic() + IMPATIENT_SECONDS
        raise StoreError(f"the object store at {self._where} does not answer: {fault} (attempts: {attempts})")

    async def _succeeds(self, another: Callable[[Any], Awaitable[None]]) -> bool:
        try:
            await self._once(another)
        except Passing:
            return False
        except ObjectTrouble:  # an answer, too
            pass
        return True

    async def _another(self, client: Any, bucket: str, key: str) -> None:
        """Read a byte of an object that stands beside this one, where there is one."""
        found = await client.list_objects_v2(Bucket=bucket, Prefix=key[: key.rfind("/") + 1], MaxKeys=10)
        others = [one["Key"] for one in found.get("Contents", ()) if one["Key"] != key and one["Size"]]
        if others:
            answer = await client.get_object(Bucket=bucket, Key=others[0], Range="bytes=0-0")
            async with answer["Body"] as body:
                await body.read()

    async def _once(self, attempt: Callable[[Any], Awaitable[T]]) -> T:
        try:
            client = await self._files.set_session()
            return await asyncio.wait_for(attempt(client), self._longest)
        except (ObjectTrouble, Passing):
            raise
        except Exception as error:
            raise object_faults.of(error, self._where) from None
