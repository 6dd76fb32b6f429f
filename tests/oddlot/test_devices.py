"""Graphics cards: which there are, and which process takes which."""

import platform
from dataclasses import replace

import pytest

from oddlot.devices import cards, check_cards, environment_for, processes_for, processor
from oddlot.errors import SettingsError
from oddlot.processes import available_cores
from oddlot.settings import load_settings
from oddlot.words import Runtime


@pytest.fixture
def settings(tmp_path):
    return replace(load_settings({"ODDLOT_HOME": str(tmp_path)}), runtime=Runtime.GPU)


def test_a_processor_is_called_what_it_calls_itself(tmp_path):
    said = tmp_path / "cpuinfo"
    assert processor(said) == platform.machine()
    processor.cache_clear()
    said.write_text("processor\t: 0\nmodel name\t: AMD EPYC 9R14\n\nprocessor\t: 1\nmodel name\t: another\n")
    assert processor(said) == "AMD EPYC 9R14"
    processor.cache_clear()


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ([], []),
        (["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps"], ["0", "1"]),
        (["nvidia3", "nvidiactl"], ["0"]),  # a container that has but one of the host's: CUDA calls it the first
    ],
)
def test_cards_are_counted_by_their_files(files, found, tmp_path):
    for name in files:
        (tmp_path / name).touch()
    assert cards({}, tmp_path) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [("", []), ("-1", []), ("1", ["1"]), ("0, 2", ["0", "2"]), ("0,-1,2", ["0"]),
     ("MIG-5c1f,GPU-a0", ["MIG-5c1f", "GPU-a0"])],
)  # fmt: skip
def test_only_cards_that_the_process_may_use_are_taken(value, found, tmp_path):
    (tmp_path / "nvidia0").touch()
    assert cards({"CUDA_VISIBLE_DEVICES": value}, tmp_path) == found


def test_a_worker_has_a_process_a_card_and_each_its_own(settings, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    assert processes_for(settings) == 2
    assert processes_for(replace(settings, concurrency=3)) == 3
    seen = [environment_for(settings, number)["CUDA_VISIBLE_DEVICES"] for number in range(3)]
    assert seen == ["GPU-a", "GPU-b", "GPU-a"]
    check_cards(settings)


def test_where_no_card_is_to_be_used_there_is_a_process_a_core_and_nothing_is_hidden(settings, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    unasked = replace(settings, runtime=Runtime.AUTO)
    assert processes_for(unasked) == available_cores()
    assert environment_for(unasked, 1)["CUDA_VISIBLE_DEVICES"] == "GPU-a,GPU-b"


def test_a_card_that_is_asked_for_and_missing_is_said(settings, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SettingsError, match="there is no NVIDIA graphics card here that may be used"):
        check_cards(settings)
    assert processes_for(settings) == 1  # whoever only submits needs none
    check_cards(replace(settings, runtime=Runtime.AUTO))
