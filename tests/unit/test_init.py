"""penstock init: each service gets its own secrets and no other's; a second run changes nothing."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from typer.testing import CliRunner

from penstock.cli.init import app
from penstock.contracts import load
from penstock.errors import Refused
from penstock.provisioning.deployment import ALSO


def run(folder: Path, *arguments: str) -> dict[str, bytes]:
    """Every file that there is afterwards."""
    found = CliRunner().invoke(app, [str(folder), *arguments])
    assert found.exit_code == 0, found.output
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_service_has_its_own_seed_and_only_the_jobs_have_more(tmp_path: Path) -> None:
    files = run(tmp_path)
    seeds = {service: {name for name in files if name.startswith(f"{service}/") and ".nk" in name} for service in ALSO}
    for service in ALSO.keys() - {"cli", "edge", "authority"}:
        assert seeds[service] == {f"{service}/{service}.nk"}
    assert not seeds["edge"]
    assert "keys/ca.key" in files
    assert not [name for name in files if name.endswith("ca.key") and not name.startswith("keys/")]
    private = [name for name in files if not name.endswith((".pub", "ca.pem"))]
    assert all(oct((tmp_path / name).stat().st_mode)[-3:] == "600" for name in private)


def test_every_identity_that_a_process_of_ours_has_is_given_to_one(tmp_path: Path) -> None:
    files = run(tmp_path)
    given = {name.split("/")[1].removesuffix(".nk") for name in files if name.endswith(".nk") and "keys/" not in name}
    examples = {name for name, each in load().identities.items() if each.meaning.startswith("Example")}
    assert load().identities.keys() - examples <= given


def test_a_second_run_changes_nothing_and_other_names_only_the_certificates(tmp_path: Path) -> None:
    first = run(tmp_path)
    assert run(tmp_path) == first
    renamed = run(tmp_path, "--names", "localhost,fleet.example")
    assert {name for name in first if renamed[name] != first[name]} == {
        f"{folder}/{file}" for folder, file in (
            ("keys", "ca.key"), ("keys", "ca.pem"), ("keys", "edge.pem"), ("cli", "ca.pem"), ("edge", "edge.pem")
        )
    }  # fmt: skip
    edge = x509.load_pem_x509_certificate(renamed["edge/edge.pem"])
    names = edge.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "fleet.example"]


def test_the_servers_of_a_cluster_know_each_other_and_one_alone_has_no_routes(tmp_path: Path) -> None:
    alone = run(tmp_path)["nats/nats.conf"].decode()
    assert "cluster:" not in alone
    assert 'sync_interval: "always"' in alone
    files = run(tmp_path, "--nats", "nats,nats-2,nats-3")
    for server in ("nats", "nats-2", "nats-3"):
        text = files[f"{server}/nats.conf"].decode()
        assert f'server_name: "{server}"' in text
        assert all(f"@{peer}:6222" in text for peer in ("nats", "nats-2", "nats-3"))
        pair = x509.load_pem_x509_certificate(files[f"{server}/routes/server.pem"])
        names = pair.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["nats", "nats-2", "nats-3"]
    assert not [name for name in files if name.endswith("ca.key") and not name.startswith("keys/")]
    assert run(tmp_path, "--nats", "nats,nats-2,nats-3") == files


def test_only_its_own_files_are_taken_back(tmp_path: Path) -> None:
    files = run(tmp_path)
    (tmp_path / "writer" / "notes").mkdir()
    (tmp_path / "writer" / "tls.crt").write_text("mine")
    (tmp_path / "writer" / "provision.nk").write_text("of an earlier release")
    assert run(tmp_path) == files | {"writer/tls.crt": b"mine"}
    (tmp_path / "writer" / "writer.nk").unlink()
    (tmp_path / "writer" / "writer.nk").mkdir()
    found = CliRunner().invoke(app, [str(tmp_path)])
    assert isinstance(found.exception, Refused)
    assert found.exception.code == "CREDENTIALS_INVALID"
