"""A SAML identity provider: reads our requests and answers, rightly or wrongly in one part."""

from __future__ import annotations

import base64
import re
import zlib
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lxml import etree
from msgspec import Struct
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Constants
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from ops import clock, ids
from tests.sso.slapd import self_signed

ENTITY = "https://idp.example.com/entity"
URL = "https://idp.example.com/sso"
AUDIENCE = "https://playlog.example.com/sp"
BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_SAML = 'xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"'
_SAMLP = 'xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol"'
_ASSERTION = (
    '<saml:Assertion {saml} ID="{id}" Version="2.0" IssueInstant="{now}">'
    "<saml:Issuer>{issuer}</saml:Issuer>"
    '<saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified">'
    '{name}</saml:NameID><saml:SubjectConfirmation Method="{method}">'
    "<saml:SubjectConfirmationData{confirmation}/></saml:SubjectConfirmation></saml:Subject>"
    '<saml:Conditions NotBefore="{begins}" NotOnOrAfter="{ends}">{audience}</saml:Conditions>'
    '<saml:AuthnStatement AuthnInstant="{now}" SessionIndex="s"><saml:AuthnContext>'
    "<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
    "</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>"
    "<saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>"
)
_RESPONSE = (
    '<samlp:Response {samlp} {saml} ID="{id}" Version="2.0" IssueInstant="{now}"'
    "{destination}{in_response_to}><saml:Issuer>{issuer}</saml:Issuer>{extensions}"
    '<samlp:Status><samlp:StatusCode Value="{status}"/></samlp:Status>{assertion}</samlp:Response>'
)


class Asked(Struct, frozen=True, kw_only=True):
    """One of our requests, as it came with the browser."""

    id: str
    address: str
    """Where the answer is posted."""
    state: str


class SamlProvider:
    """Knows everybody, and says what a test wants."""

    def __init__(self) -> None:
        """Start with a key of its own."""
        self.certificate, self.key = (each.decode() for each in self_signed("idp.example.com"))

    def read(self, location: str) -> Asked:
        """Return the request in an address that we sent a browser to."""
        query = parse_qs(urlsplit(location).query)
        inflated = zlib.decompress(base64.b64decode(query["SAMLRequest"][0]), -15)
        request = etree.fromstring(inflated)
        assert location.startswith(URL)
        assert request.findtext("{*}Issuer") == AUDIENCE
        return Asked(
            id=request.get("ID"),
            address=request.get("AssertionConsumerServiceURL"),
            state=query["RelayState"][0],
        )

    def assertion(self, asked: Asked, attributes: dict[str, list[str]], **wrong: Any) -> str:
        """Return an assertion that is not signed yet."""
        parts: dict[str, Any] = {
            "id": f"_{ids.new_id()}",
            "now": at(0),
            "begins": at(-60),
            "ends": at(60),
            "issuer": ENTITY,
            "name": "name",
            "method": BEARER,
            "audiences": [AUDIENCE],
            "confirms": asked.id,
            "recipient": asked.address,
            "confirmed_until": at(60),
            **wrong,
        }
        confirmation = {
            "InResponseTo": parts["confirms"],
            "Recipient": parts["recipient"],
            "NotOnOrAfter": parts["confirmed_until"],
        }
        return _ASSERTION.format(
            saml=_SAML,
            confirmation=_attributes(confirmation),
            audience="".join(_audience(each) for each in parts["audiences"]),
            attributes="".join(_attribute(name, each) for name, each in attributes.items()),
            **{name: each for name, each in parts.items() if isinstance(each, str)},
        )

    def sign(self, xml: str, key: str = "", *, weak: bool = False) -> str:
        """Return an assertion or response with the provider's signature."""
        algorithm = (
            (Constants.RSA_SHA1, Constants.SHA1)
            if weak
            else (Constants.RSA_SHA256, Constants.SHA256)
        )
        signed = OneLogin_Saml2_Utils.add_sign(
            xml, key or self.key, self.certificate, False, *algorithm
        )
        text = signed.decode() if isinstance(signed, bytes) else str(signed)
        return re.sub(r"^<\?xml[^>]*\?>\s*", "", text)

    def response(self, asked: Asked, assertion: str, **wrong: Any) -> str:
        """Return a response with an assertion."""
        parts = {
            "destination": asked.address,
            "in_response_to": asked.id,
            "issuer": ENTITY,
            "status": SUCCESS,
            "extensions": "",
            **wrong,
        }
        named = {
            "Destination": parts.pop("destination"),
            "InResponseTo": parts.pop("in_response_to"),
        }
        return _RESPONSE.format(
            saml=_SAML,
            samlp=_SAMLP,
            id=f"_{ids.new_id()}",
            now=at(0),
            destination=_attributes({"Destination": named["Destination"]}),
            in_response_to=_attributes({"InResponseTo": named["InResponseTo"]}),
            assertion=assertion,
            **parts,
        )


def encoded(xml: str) -> str:
    """Return a response as a form carries it."""
    return base64.b64encode(xml.encode()).decode()


def at(seconds: float) -> str:
    """Return the time so many seconds from now, as SAML writes it."""
    return (clock.now() + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def wrapped(signed: str, forged: str) -> dict[str, dict[str, str]]:
    """Return ways to put a forged assertion beside one that is signed: parts of a response.

    Each keeps the signed one somewhere, so that its signature still fits, and has a reader that is
    not careful take the other.
    """
    signature = re.search(r"<ds:Signature.*</ds:Signature>", signed, re.DOTALL)
    assert signature is not None
    bare = signed.replace(signature[0], "")
    own_id = re.search(r'ID="([^"]+)"', signed)
    forged_id = re.search(r'ID="([^"]+)"', forged)
    assert own_id is not None
    assert forged_id is not None
    inside = signature[0].replace(
        "</ds:Signature>", f"<ds:Object>{bare}</ds:Object></ds:Signature>"
    )
    extensions = f"<samlp:Extensions {_SAMLP}>{signed}</samlp:Extensions>"
    return {
        "before": {"assertion": forged + signed},
        "behind": {"assertion": signed + forged},
        "around": {"assertion": _with(forged, signed)},
        "with its signature": {"assertion": _with(forged, signature[0])},
        "in its signature": {"assertion": _with(forged, inside)},
        "in extensions": {"assertion": forged, "extensions": extensions},
        "in extensions, signed": {
            "assertion": _with(forged, signature[0]),
            "extensions": extensions,
        },
        "same id": {
            "assertion": forged.replace(forged_id[1], own_id[1]),
            "extensions": extensions,
        },
    }


def _with(assertion: str, more: str) -> str:
    """Put something where an assertion's signature stands."""
    return assertion.replace("</saml:Issuer>", f"</saml:Issuer>{more}", 1)


def _attributes(values: dict[str, Any]) -> str:
    return "".join(f' {name}="{value}"' for name, value in values.items() if value is not None)


def _audience(name: str) -> str:
    restriction = "saml:AudienceRestriction"
    return f"<{restriction}><saml:Audience>{name}</saml:Audience></{restriction}>"


def _attribute(name: str, values: list[str]) -> str:
    inner = "".join(f"<saml:AttributeValue>{each}</saml:AttributeValue>" for each in values)
    return f'<saml:Attribute Name="{name}">{inner}</saml:Attribute>'
