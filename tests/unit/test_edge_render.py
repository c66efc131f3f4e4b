"""haproxy.cfg from a plan: every rule of the templates, and nothing that could end a quotation."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.auth.issuers import Issuer
from penstock.errors import Refused
from penstock.services.edge import problems, tokens
from penstock.services.edge.plan import Limits, Plan, PublicKey, Reader
from penstock.services.edge.render import digest, render

ISSUER = Issuer(issuer="https://id.test/a", audience="penstock", jwks_url="https://id.test/keys", gives=frozenset())
KEYS = (
    PublicKey("https://id.test/a", "one", Path("/s/edge/keys/1.pem")),
    PublicKey("https://id.test/a", "-m two", Path("/s/edge/keys/2.pem")),
    PublicKey("https://id.test/b", "one", Path("/s/edge/keys/3.pem")),
)
PLAN = Plan(
    host="127.0.0.1",
    port=6,
    stats_port=7,
    peer_port=9,
    certificate=Path("/s/tls/edge.pem"),
    certificate_digest="cd",
    socket=Path("/s/edge/ingress.sock"),
    admin=Path("/s/edge/admin.sock"),
    proof=Path("/s/edge/proof.map"),
    ingress=("127.0.0.1:10", "127.0.0.1:11"),
    slots=0,
    bearer_keys=True,
    issuers=(ISSUER,),
    keys=KEYS,
    limits=Limits(
        rate=100,
        window=10,
        open=20,
        refused=0,
        body=1000,
        connections=50,
        address_connections=25,
        handshake=5,
        drain=60,
    ),
    threads=1,
    reader=None,
)


def refusals(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if "http-request deny" in line]


def test_the_same_plan_gives_the_same_text_with_its_own_digest() -> None:
    text = render(PLAN)
    assert text == render(PLAN)
    [written] = re.findall(r'"configuration":"([0-9a-f]{16})"', text)
    assert digest(text.replace(written, "<digest>")) == written


def test_no_placeholder_of_the_template_is_left() -> None:
    text = render(replace(PLAN, reader=Reader(8, "AB" * 32, ("127.0.0.1:2",)), slots=3, ingress=("ingress.example:1",)))
    assert "@{" not in text
    assert not re.search(r"^ *(refuse|answer) ", text, re.MULTILINE)


def test_each_key_id_has_one_rule_with_its_own_file_and_issuer() -> None:
    rules = [line for line in tokens.rules([ISSUER], KEYS) if "jwt_verify" in line]
    assert rules == [
        'http-request set-var(txn.signed) var(txn.bearer),jwt_verify("RS256","/s/edge/keys/1.pem")'
        " if token issuer_0 { var(txn.kid) -m str -- 'one' }",
        'http-request set-var(txn.signed) var(txn.bearer),jwt_verify("RS256","/s/edge/keys/2.pem")'
        " if token issuer_0 { var(txn.kid) -m str -- '-m two' }",
    ]


def test_no_rule_verifies_before_the_algorithm_is_known_to_be_rs256() -> None:
    text = render(PLAN)
    refused = text.index("deny", text.index("!{ var(txn.alg) -m str RS256 }"))
    assert refused < text.index("jwt_verify(")
    assert set(re.findall(r"jwt_verify\((.*?),", text)) == {'"RS256"'}


def test_an_issuer_that_signs_otherwise_gets_no_rules() -> None:
    assert tokens.rules([ISSUER.model_copy(update={"algorithms": ("ES256",)})], KEYS) == []


@pytest.mark.parametrize("bad", ["it's", "a\nb", "é", ""])
def test_values_that_would_break_out_of_quotes_are_refused(bad: str) -> None:
    with pytest.raises(Refused, match="EDGE_INVALID"):
        tokens.rules([ISSUER.model_copy(update={"audience": bad})], KEYS)
    assert not tokens.usable(bad)


def test_a_path_that_needs_quotes_is_refused() -> None:
    for path in ("/a b/c.pem", '/a"/c.pem', "/a,b/c.pem", "/a)/c.pem"):
        with pytest.raises(Refused, match="EDGE_INVALID"):
            render(replace(PLAN, certificate=Path(path)))
        with pytest.raises(Refused, match="EDGE_INVALID"):
            render(replace(PLAN, keys=(PublicKey(ISSUER.issuer, "k", Path(path)),)))


def test_every_refusal_is_a_problem_with_the_status_of_its_code() -> None:
    lines = refusals(render(replace(PLAN, reader=Reader(8, "AB" * 32, ("127.0.0.1:2",)))))
    assert len(lines) > 15
    for line in lines:
        found = re.fullmatch(
            r"http-request deny status (\d+) content-type application/problem\+json lf-string '([^']*)'(.*)"
            r" (if|unless) .*",
            line,
        )
        assert found, line
        body = json.loads(found[2].replace("%[var(txn.id)]", "id").replace("%%", "%"))
        assert body["status"] == int(found[1])
        assert body["request_id"] == "id"
        assert ("www-authenticate" in found[3]) == (body["status"] == 401)
        assert ("retry-after" in found[3]) == (body["status"] == 429)


def test_an_unknown_code_is_a_defect_of_the_template() -> None:
    with pytest.raises(ValueError, match="NO_SUCH_CODE"):
        problems.expand("    refuse NO_SUCH_CODE 'x' if TRUE", count_refused=False)


def test_percent_signs_and_quotes_survive_the_log_format() -> None:
    [_, line] = problems.expand("refuse NOT_FOUND '100% \\ \"x\"' if TRUE", count_refused=False).splitlines()
    body = re.findall(r"lf-string '([^']*)'", line)[0]
    assert json.loads(body.replace("%%", "%"))["detail"] == '100% \\ "x"'


def test_refused_credentials_are_counted_only_where_there_is_a_limit() -> None:
    assert problems.COUNT_REFUSED not in render(PLAN)
    text = render(replace(PLAN, limits=replace(PLAN.limits, refused=5)))
    counted = text.count(f"http-request {problems.COUNT_REFUSED}")
    assert counted == sum("deny status 401" in line for line in text.splitlines())
    assert text.index("track-sc2") < text.index("deny status 401")


def test_keys_are_refused_where_they_are_switched_off() -> None:
    assert "'keys are not taken here'" not in render(PLAN).replace('"', "'")
    assert '"keys are not taken here"' in render(replace(PLAN, bearer_keys=False))


def test_a_cluster_is_found_by_its_name() -> None:
    text = render(replace(PLAN, slots=4, ingress=("ingress.example:7410",)))
    assert text.count(" ingress.example:7410 resolvers system init-addr none") == 2 * 4
    assert "\nresolvers system\n" in text
