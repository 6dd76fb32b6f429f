"""Bundles and bundle files with anything in them: refused as a bundle in one line, or as good as before."""

import contextlib
import io
import json
import tracemalloc
import zipfile

import pytest
from hostile import bounded
from hypothesis import given
from hypothesis import strategies as st

from ganomaly.bundle import open_bundle, read_parts
from ganomaly.config import Config, features, paper
from ganomaly.manifest import LIMITS, MANIFEST, SealedFiles, make_manifest
from ganomaly.transport import import_bundle
from oddlot.errors import BundleError
from pictures.preprocessing import Preprocessing

NAMES = [MANIFEST, *LIMITS]
TABLES = sorted(name for name in LIMITS if name.endswith(".json"))
MOST_MEMORY = 32 * 2**20
"""Bytes that looking at a bundle of this size may take: some times what it holds."""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([2**63, -1, 10**400, 1e308, -0.0, "../../etc/passwd", "a\nb", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


class Contents(dict):
    """The files of a bundle by their names."""

    def __repr__(self):
        return "the files of a bundle"  # Hypothesis would print all of them


@pytest.fixture(scope="module")
def contents(fitted):
    with zipfile.ZipFile(fitted / "flange.oddlot") as archive:
        return Contents({name: archive.read(name) for name in NAMES})


class Memory(SealedFiles):
    """The files of a bundle that was never written down."""

    def __init__(self, files):
        self._files = files
        super().__init__(files, None)

    def _bytes_of(self, name, limit):
        if len(self._files[name]) > limit:
            raise BundleError(f"{name} is too large")
        return self._files[name]


@contextlib.contextmanager
def little_memory():
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def sealed(contents, name, data):
    """Changed as somebody would who knows about the manifest."""
    files = {known: contents[known] for known in LIMITS} | {name: data}
    return files | {MANIFEST: make_manifest(files)}


def refused_or_read(files):
    """What a worker looks at before it builds the network, and what it builds it from."""
    with little_memory():
        refusal = None
        try:
            head, parts = read_parts(Memory(files))
            Preprocessing.from_dict(head.preprocessing)
            Config.from_dict(parts.network)
        except BundleError as error:
            refusal = str(error)
    assert refusal is None or len(refusal.splitlines()) == 1, refusal


@st.composite
def changed(draw, data):
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 5))):
        place = draw(st.integers(0, max(0, len(data) - 1)) | st.integers(-400, -1).map(lambda n: max(0, len(data) + n)))
        match draw(st.sampled_from(["byte", "word", "cut", "insert", "end"])):
            case "byte" if data:
                data[place] = draw(st.integers(0, 255))
            case "word":
                data[place : place + 4] = draw(st.sampled_from([0, 1, 2**31, 2**32 - 1])).to_bytes(4, "little")
            case "cut":
                del data[place : place + draw(st.integers(1, 60))]
            case "insert":
                data[place:place] = draw(st.binary(max_size=20))
            case "end":
                del data[place:]
    return bytes(data)


@bounded(150)
@given(data=st.data(), name=st.sampled_from(NAMES))
def test_changed_bytes_of_a_sealed_file(contents, data, name):
    mutated = data.draw(changed(contents[name]))
    refused_or_read(contents | {MANIFEST: mutated} if name == MANIFEST else sealed(contents, name, mutated))


def places(table, above=()):
    """The way to every key of a table and of the tables in it."""
    for key, value in table.items():
        yield *above, key
        if isinstance(value, dict):
            yield from places(value, (*above, key))


@bounded(300)
@given(name=st.sampled_from([MANIFEST, *TABLES]), where=st.integers(0, 10**6), value=VALUES, key=st.text(max_size=8))
def test_tables_with_other_values_in_them(contents, name, where, value, key):
    table = json.loads(contents[name])
    ways = sorted(places(table))
    *above, last = ways[where % len(ways)]
    inner = table
    for step in above:
        inner = inner[step]
    if where % 3:
        inner[last] = value
    else:
        inner[key] = inner.pop(last)
    text = json.dumps(table).encode()
    refused_or_read(contents | {MANIFEST: text} if name == MANIFEST else sealed(contents, name, text))


@bounded(80)
@given(data=st.data())
def test_a_changed_file_is_not_imported_or_is_the_same_bundle(contents, fitted, tmp_path, data):
    file, folder = tmp_path / "hostile.oddlot", tmp_path / "store" / "new"
    file.write_bytes(data.draw(changed((fitted / "flange.oddlot").read_bytes())))
    with little_memory():
        refusal = None
        try:
            import_bundle(file, folder)
        except BundleError as error:
            refusal = str(error)
    if refusal is not None:
        assert len(refusal.splitlines()) == 1
        assert not folder.exists()
        return
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


MEMBERS = st.sampled_from(
    [*NAMES, "../evil", "/tmp/evil", "..\\evil", "weights.npz/", "", "a\0b", "card.json\0x", "é\n"]
)


@bounded(100)
@given(
    members=st.lists(
        st.tuples(MEMBERS, st.binary(max_size=60), st.sampled_from([0, 8, 12, 14]), st.integers(0, 2**32 - 1)),
        max_size=9,
    )
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_made_up_zip_is_refused_and_writes_nothing(tmp_path_factory, members):
    folder = tmp_path_factory.mktemp("imported")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, body, method, attributes in members:
            member = zipfile.ZipInfo("x")
            member.filename = member.orig_filename = name
            member.compress_type, member.external_attr = method, attributes
            archive.writestr(member, body)
    (folder / "hostile.oddlot").write_bytes(buffer.getvalue())
    with little_memory(), pytest.raises(BundleError) as refusal:
        import_bundle(folder / "hostile.oddlot", folder / "store")
    assert len(str(refusal.value).splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["hostile.oddlot"]


@pytest.mark.parametrize("change", [{"width": 1024}, {"latent": 4096}, {"size": 256, "width": 256}], ids=str)
def test_a_network_that_would_fill_the_memory_is_refused_before_it_is_built(contents, tmp_path, change):
    refuse(contents, tmp_path, paper(32, 1).to_dict() | change, "describes a network that this program does not have")


@pytest.mark.parametrize(
    "memory", [[], [0], [-1], [True], [1.0], [[1]], None, 7, [9] * 9, [2**16 + 1], [2**16] * 4], ids=str
)
def test_a_memory_that_cannot_be_is_refused(contents, tmp_path, memory):
    refuse(contents, tmp_path, features(128, 1).to_dict() | {"memory": memory}, "is refused")


def refuse(contents, tmp_path, network, reason):
    files = sealed(contents, "network.json", json.dumps(network).encode())
    folder = tmp_path / "huge"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    with little_memory(), pytest.raises(BundleError, match=reason) as refusal:
        open_bundle(folder)
    assert len(str(refusal.value).splitlines()) == 1
