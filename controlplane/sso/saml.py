"""SAML 2.0: our requests and metadata, and answers that have to be right in every part.

The library checks signatures, wrapping, times, issuer and schema. What it lets pass when it is
absent is demanded here: an audience, and a confirmation inside the signed assertion that names our
request, our address and an end. Each assertion is believed once, in all processes together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from onelogin.saml2.auth import OneLogin_Saml2_Auth
from onelogin.saml2.constants import OneLogin_Saml2_Constants as Constants
from onelogin.saml2.errors import OneLogin_Saml2_Error
from onelogin.saml2.response import OneLogin_Saml2_Response
from onelogin.saml2.settings import OneLogin_Saml2_Settings
from onelogin.saml2.utils import OneLogin_Saml2_Utils

from controlplane.domain.external import saml
from controlplane.domain.external.identity import Identity, Wanted
from controlplane.domain.external.saml import Provider, SamlConfig
from controlplane.sso.attempts import Attempt, Attempts, Unproved
from ops import clock

ANSWER = "SAMLResponse"
ANSWER_MAX = 512 * 1024
LEEWAY_S = 300
"""The library lets clocks differ by so much."""
_CONFIRMATION = "/saml:Subject/saml:SubjectConfirmation/saml:SubjectConfirmationData"
_SAFE = {
    "wantAssertionsSigned": True,
    "rejectDeprecatedAlgorithm": True,
    "allowSingleLabelDomains": True,
}


class Believed(Struct, frozen=True, kw_only=True):
    """An assertion whose signature and conditions are right."""

    identity: Identity
    assertion: str
    until: float
    """Unix time from which on nobody would believe it."""


class Saml:
    """The service provider that the settings describe."""

    def __init__(self, config: SamlConfig, base: str, attempts: Attempts) -> None:
        """Stand at the address ``base``; remember assertions with ``attempts``."""
        self._config = config
        self._address = f"{base}/sso/complete/{saml.NAME}/"
        self._attempts = attempts

    async def start(self, attempt: Attempt) -> tuple[str, str]:
        """Return the identity provider's address with our request, and the request's id."""
        provider = self._config.providers.get(attempt.idp)
        if provider is None:
            raise Unproved("no such identity provider")
        return await asyncio.to_thread(self._request, provider, attempt.state)

    async def complete(self, answer: Mapping[str, str], attempt: Attempt) -> Identity:
        """Return who it is by an identity provider's answer; raises Unproved."""
        encoded = answer.get(ANSWER, "")
        provider = self._config.providers.get(attempt.idp)
        if provider is None or not 0 < len(encoded) <= ANSWER_MAX:
            raise Unproved("no answer that could be read")
        believed = await asyncio.to_thread(self._verify, provider, encoded, attempt.request)
        left_s = believed.until - clock.now().timestamp() + LEEWAY_S
        used = f"{provider.entity_id} {believed.assertion}"
        if not await self._attempts.use_up(used, left_s):
            raise Unproved("the assertion was used before")
        return believed.identity

    def wanted(self, identity: Identity) -> Wanted:
        """Return what the settings make of somebody."""
        return saml.wanted(self._config, identity)

    def metadata(self) -> bytes:
        """Return what identity providers need to know of us; raises Unproved with the reasons."""
        provider = next(iter(self._config.providers.values()))
        settings = self._settings(provider)
        found = settings.get_sp_metadata()
        problems = settings.validate_metadata(found)
        if problems:
            raise Unproved(", ".join(problems))
        return found if isinstance(found, bytes) else str(found).encode()

    def _request(self, provider: Provider, state: str) -> tuple[str, str]:
        auth = OneLogin_Saml2_Auth(self._asked(), old_settings=self._settings(provider))
        return str(auth.login(return_to=state)), str(auth.get_last_request_id())

    def _verify(self, provider: Provider, encoded: str, request: str) -> Believed:
        try:
            response = OneLogin_Saml2_Response(self._settings(provider), encoded)
            right = response.is_valid(self._asked(), request_id=request)
        except Exception as error:  # whatever hostile XML makes the library raise
            raise Unproved(f"answer: {type(error).__name__}") from error
        if not right:
            raise Unproved(f"answer: {response.get_error()}")
        until = self._confirmed(response, request)
        if self._config.entity_id not in response.get_audiences():
            raise Unproved("the assertion is for another audience")
        return Believed(
            identity=self._identity(provider, response),
            assertion=str(response.get_assertion_id()),
            until=until,
        )

    def _confirmed(self, response: Any, request: str) -> float:
        """Return until when a signed confirmation for our request is good; raises Unproved."""
        for each in response._query_assertion(_CONFIRMATION):  # noqa: SLF001 - reads the signed part
            ends = each.get("NotOnOrAfter")
            ours = each.get("InResponseTo") == request and each.get("Recipient") == self._address
            if ends and ours:
                until = float(OneLogin_Saml2_Utils.parse_SAML_to_time(ends))
                if until > clock.now().timestamp():
                    return until
        raise Unproved("the assertion does not confirm our request")

    def _identity(self, provider: Provider, response: Any) -> Identity:
        attributes = {
            name: tuple(each for each in values if isinstance(each, str))
            for name, values in response.get_attributes().items()
        }
        attributes[saml.NAME_ID] = (response.get_nameid() or "",)

        def value(key: str) -> str:
            return next(iter(attributes.get(provider.attributes[key], ())), "").strip()

        permanent = value("attr_user_permanent_id")
        if not permanent:
            raise Unproved("the assertion lacks the user's permanent id")
        return Identity(
            provider=saml.NAME,
            uid=f"{provider.name}:{permanent}",
            username=value("attr_username") or permanent,
            first_name=value("attr_first_name"),
            last_name=value("attr_last_name"),
            email=value("attr_email"),
            attributes=attributes,
        )

    def _settings(self, provider: Provider) -> Any:
        config = self._config
        given: dict[str, Any] = {
            "strict": True,
            "sp": {
                "entityId": config.entity_id,
                "assertionConsumerService": {
                    "url": self._address,
                    "binding": Constants.BINDING_HTTP_POST,
                },
                "x509cert": config.certificate,
                "privateKey": config.private_key,
                **config.extra,
            },
            "idp": {
                "entityId": provider.entity_id,
                "singleSignOnService": {
                    "url": provider.url,
                    "binding": Constants.BINDING_HTTP_REDIRECT,
                },
                "x509cert": provider.certificate,
            },
            "organization": dict(config.organization),
            "contactPerson": {
                kind: dict(person)
                for kind, person in (("technical", config.technical), ("support", config.support))
                if person
            },
            "security": {**config.security, **_SAFE},
        }
        try:
            return OneLogin_Saml2_Settings(given)
        except OneLogin_Saml2_Error as error:
            raise Unproved(f"settings: {error}") from error

    def _asked(self) -> dict[str, Any]:
        """Return our own address as the library takes a request."""
        parts = urlsplit(self._address)
        return {
            "https": "on" if parts.scheme == "https" else "off",
            "http_host": parts.netloc,
            "script_name": parts.path,
            "get_data": {},
            "post_data": {},
        }
