"""Where keys are named, a model that nobody trusted signed is used by nobody; signed, it is the model that it was."""

import pytest


@pytest.mark.slow
def test_a_model_from_unsigned_to_signed_and_carried_elsewhere(oddlot, drawn, tmp_path):
    made = oddlot.run("models", "keygen", tmp_path / "plant.key")
    assert "ODDLOT_SIGNING_KEY" in made
    oddlot.environ["ODDLOT_TRUSTED_KEYS"] = str(tmp_path / "plant.key.pub")
    refused = oddlot.run("inspect", "flange", drawn / "tonight", status=1)
    assert "is not signed" in refused
    assert "Traceback" not in refused
    assert "is not signed" in oddlot.run("threshold", "flange", "--what-if", "0.2", "--apply", status=1)
    assert "is not signed" in oddlot.run("models", "export", "flange", tmp_path / "unsigned", status=1)
    assert "ODDLOT_SIGNING_KEY names no key" in oddlot.run("models", "sign", "flange", status=1)
    before = oddlot.json("models", "list")
    oddlot.environ["ODDLOT_SIGNING_KEY"] = str(tmp_path / "plant.key")
    oddlot.run("models", "sign", "flange")
    assert oddlot.json("models", "list") == before
    oddlot.run("retry", "last")
    oddlot.run("inspect", "flange", drawn / "tonight")
    assert oddlot.json("job", "last")["scored"] == 24
    oddlot.run("threshold", "flange", "--what-if", "0.2", "--apply")
    oddlot.run("models", "export", "flange", tmp_path / "signed")
    other = type(oddlot)(tmp_path / "other", ODDLOT_TRUSTED_KEYS=oddlot.environ["ODDLOT_TRUSTED_KEYS"])
    assert other.json("models", "import", tmp_path / "signed")["state"] == "active"
    del oddlot.environ["ODDLOT_TRUSTED_KEYS"], oddlot.environ["ODDLOT_SIGNING_KEY"]
    assert [one["action"] for one in oddlot.json("audit-log", "--limit", "2")] == ["threshold applied", "job submitted"]
    third = type(oddlot)(tmp_path / "third", ODDLOT_TRUSTED_KEYS=str(tmp_path / "third.key.pub"))
    third.run("models", "keygen", tmp_path / "third.key")
    said = third.run("models", "import", tmp_path / "signed", status=1)
    assert "none of the keys" in said
    assert len(said.splitlines()) == 1
    assert not list((third.home / "models").rglob("manifest.json"))
